package cloudsim

import (
	"fmt"
	"slices"
)

// User is who logs in with a password.
type User struct{ Name, Password string }

// Agency lets callers of another account act in the account that has it.
type Agency struct {
	Name   string
	Trusts string // name of the account whose callers may assume it
}

// IdentityProvider is who proves, by an id token, that somebody may act in the account that has it.
type IdentityProvider struct{ ID, IDToken string }

// SetPassword changes the password of a user of the account. Tokens that were issued before stay good; Revoke ends them.
func (c *Cloud) SetPassword(account, user, password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.account(account)
	users := slices.Clone(a.Users) // the caller's own slice stays as it is
	i := slices.IndexFunc(users, func(u User) bool { return u.Name == user })
	if i < 0 {
		panic(fmt.Sprintf("cloudsim: account %q has no user %q", account, user))
	}
	users[i].Password = password
	a.Users = users
}

// SetIDToken rotates the id token that the identity provider of the account accepts.
func (c *Cloud) SetIDToken(account, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.account(account)
	if a.IdentityProvider == nil {
		panic(fmt.Sprintf("cloudsim: account %q has no identity provider", account))
	}
	a.IdentityProvider = &IdentityProvider{a.IdentityProvider.ID, token}
}

// named is how requests to IAM name something: by either.
type named struct{ ID, Name string }

// is tells whether it names what has this id and name.
func (n named) is(id, name string) bool {
	return n != named{} && (n.ID == "" || n.ID == id) && (n.Name == "" || n.Name == name)
}

// findAccount finds an account that a request names.
func (c *Cloud) findAccount(domain named) *account {
	for _, a := range c.accounts {
		if domain.is(hexID(a.Name), a.Name) {
			return a
		}
	}
	return nil
}

// login finds the account of a user whose password is right.
func (c *Cloud) login(domain named, u User) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.findAccount(domain); a != nil && slices.Contains(a.Users, u) {
		return a
	}
	return nil
}

// federate finds the account of an identity provider that issued the id token.
func (c *Cloud) federate(p IdentityProvider) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.accounts {
		if a.IdentityProvider != nil && *a.IdentityProvider == p {
			return a
		}
	}
	return nil
}

// findAgency finds an agency of an account, or neither.
func (c *Cloud) findAgency(domain named, name string) (*account, Agency) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.findAccount(domain); a != nil {
		for _, agency := range a.Agencies {
			if agency.Name == name {
				return a, agency
			}
		}
	}
	return nil, Agency{}
}
