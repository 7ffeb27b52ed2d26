package cloudsim

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// showQuotas answers a quota API.
func (c *Cloud) showQuotas(q call) answer {
	quotas, stated := q.project.Quotas[q.api.service]
	if !stated {
		return answer{status: http.StatusOK, body: q.api.quotas.Example}
	}
	return answer{status: http.StatusOK, body: q.api.quotas.Shape.encode(quotas, c.elapsed())}
}

func (q Quota) used(elapsed time.Duration) int64 {
	if q.Move != nil {
		return q.Move(elapsed)
	}
	return q.Used
}

// number reads a parameter of the query that may be missing.
func number(query url.Values, name string, missing, least, most int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err == nil && (n < least || n > most) {
		err = strconv.ErrRange
	}
	return n, err
}
