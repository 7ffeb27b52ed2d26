package cloudsim

import "net/http"

// Authenticate shows the verifier to tests with public vectors, whose paths belong to no API of this cloud.
func (c *Cloud) Authenticate(r *http.Request, body []byte) (refusal string) {
	_, refusal = c.signer(r, body)
	return refusal
}
