package cloudsim

import "net/http"

// refusal is why the gateway answers a request with a 401.
type refusal struct{ code, message string }

// outdated also stands for a token that is good, but for another region or project.
var outdated = &refusal{"APIGW.0307", "The token must be updated."}

func incorrect(why string) *refusal {
	return &refusal{"APIGW.0301", "Incorrect IAM authentication information: " + why}
}

func (r *refusal) answer(q call) answer {
	return answer{status: http.StatusUnauthorized, body: gatewayBody(r.code, r.message, q.id)}
}

// authenticate tells from whose account a request comes, by its signature or its token, or why it is refused.
func (c *Cloud) authenticate(q call) (caller *account, refused *refusal) {
	id, signed := q.Header.Get("X-Auth-Token"), q.Header.Get("Authorization") != ""
	switch {
	case id != "" && signed:
		return nil, incorrect("the request has a signature and an x-auth-token, of which only one is allowed")
	case id != "":
		return c.bearer(q, id)
	case !signed:
		return nil, incorrect("x-auth-token not found")
	}
	caller, why := c.signer(q.Request, q.body)
	if why != "" {
		return nil, incorrect(why)
	}
	return caller, nil
}

// bearer tells whose token it is. Only where the path has no project does the scope of the token not matter.
func (c *Cloud) bearer(q call, id string) (caller *account, refused *refusal) {
	t, why := c.token(id)
	if why != "" {
		return nil, incorrect("the x-auth-token " + why)
	}
	if q.projectID != "" && (t.project.ID != q.projectID || q.elsewhere() || t.region != "" && t.region != t.project.Region) {
		return nil, outdated
	}
	return t.owner, nil
}
