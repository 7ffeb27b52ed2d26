package huaweicloud

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
)

// AccountError means that something of the account is not known that its account-level APIs need.
type AccountError struct {
	What   string // what was tried, and what came back
	Advice string // what to do; empty: to state the id of the account
}

func (e *AccountError) Error() string { return e.What + ending(e.Remedy()) }

// Remedy names a key of the configuration.
func (e *AccountError) Remedy() string {
	return cmp.Or(e.Advice, "set domain_id of the account: the page My Credentials of the console shows it as the account ID")
}

// FindAccount returns the id of the caller's account: GET /v3/auth/domains, "Querying Account Information Accessible to an IAM User" of the IAM API
// Reference. isID returns whether an id can be used. The error is an *AccountError if the list has not exactly one account: an empty list is a valid response.
func FindAccount(ctx context.Context, iam *Client, isID func(string) bool) (string, error) {
	answer, err := iam.Get(ctx, "/v3/auth/domains")
	if err != nil {
		return "", err
	}
	var list struct {
		Domains *[]json.RawMessage `json:"domains"`
	}
	if err := json.Unmarshal(answer.Body, &list); err != nil {
		return "", answer.Malformed(err.Error())
	}
	if list.Domains == nil {
		return "", answer.Malformed("there is no list of domains in it")
	}
	if n := len(*list.Domains); n != 1 {
		return "", &AccountError{What: fmt.Sprintf("%s: IAM lists %d accounts, not one", answer.Request, n)}
	}
	var domain struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal((*list.Domains)[0], &domain); err != nil || !isID(domain.ID) {
		return "", answer.Malformed("the id of the account is missing or not of the form of a domain_id")
	}
	return domain.ID, nil
}

// CallerAccount returns the id of the account whose keys sign the request: GET /v5/caller-identity, "GetCallerIdentity" of the API Reference of IAM's new
// version. It takes no tokens, and only some regions have its host.
func CallerAccount(ctx context.Context, sts *Client, isID func(string) bool) (string, error) {
	answer, err := sts.Get(ctx, "/v5/caller-identity")
	if err != nil {
		return "", err
	}
	var caller struct {
		AccountID string `json:"account_id"`
	}
	if err := json.Unmarshal(answer.Body, &caller); err != nil {
		return "", answer.Malformed(err.Error())
	}
	if !isID(caller.AccountID) {
		return "", answer.Malformed("account_id is missing or not of the form of a domain_id")
	}
	return caller.AccountID, nil
}
