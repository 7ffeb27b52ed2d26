package huaweicloud

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
)

// AccountError means that something about the account is unknown that its account-level APIs need.
type AccountError struct {
	What   string // what was tried and the response
	Advice string // what to do; empty: set domain_id
}

func (e *AccountError) Error() string { return e.What + ending(e.Remedy()) }

// Remedy names a configuration key.
func (e *AccountError) Remedy() string {
	return cmp.Or(e.Advice, "set domain_id for the account: the console shows it as the account ID on the page My Credentials")
}

// FindAccount returns the ID of the caller's account: GET /v3/auth/domains, "Querying Account Information Accessible to an IAM User"
// of the IAM API Reference. isID reports whether an ID is valid. The error is an *AccountError if the list does not have exactly one
// account: an empty list is a valid response.
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
		return "", answer.Malformed("it has no list of domains")
	}
	if n := len(*list.Domains); n != 1 {
		return "", &AccountError{What: fmt.Sprintf("%s: IAM lists %d accounts, expected one", answer.Request, n)}
	}
	var domain struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal((*list.Domains)[0], &domain); err != nil || !isID(domain.ID) {
		return "", answer.Malformed("the account ID is missing or not a valid domain_id")
	}
	return domain.ID, nil
}

// CallerAccount returns the ID of the account whose keys sign the request: GET /v5/caller-identity, "GetCallerIdentity" of the API
// Reference of IAM's new version. It does not accept tokens, and its host exists only in some regions.
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
		return "", answer.Malformed("account_id is missing or not a valid domain_id")
	}
	return caller.AccountID, nil
}
