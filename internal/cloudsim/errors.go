package cloudsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ErrorBody returns the body of an error as the API reference of the service shows it (cts, ces, taurusdb, dcs, dbss, iam), or as the
// gateway makes it, for any other name. Shapes are the documents'; the number in an error code is a stand-in made of the status,
// except for the gateway's.
func ErrorBody(service string, status int, message string) []byte {
	code := fmt.Sprintf("%s.%04d", strings.ToUpper(service), status)
	switch service {
	case "cts":
		return encode(map[string]any{"error_code": code, "error_msg": message})
	case "taurusdb":
		return encode(map[string]any{"error_code": fmt.Sprintf("DBS.%06d", status), "error_msg": message})
	case "dcs":
		return encode(map[string]any{"error_code": code, "error_msg": message, "error_ext_msg": nil})
	case "ces":
		number := strconv.Itoa(status)
		return encode(map[string]any{
			"http_code": number,
			"message":   map[string]any{"details": message, "code": number},
		})
	case "dbss":
		return encode(map[string]any{
			"error_code": code, "error_msg": message, "encoded_authorization_message": "",
			"details": []any{map[string]any{"error_code": code, "error_msg": message}},
		})
	case "iam":
		return encode(map[string]any{
			"error": map[string]any{"code": status, "message": message, "title": http.StatusText(status)},
		})
	default:
		return gatewayBody(gatewayCode(status), message, hexID("request"))
	}
}

// gatewayCode is what "Error Codes" in the gateway's User Guide has for a status.
func gatewayCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "APIGW.0301"
	case http.StatusForbidden:
		return "APIGW.0302"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "APIGW.0101"
	case http.StatusTooManyRequests:
		return "APIGW.0308"
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return "APIGW.0202"
	case http.StatusGatewayTimeout:
		return "APIGW.0203"
	}
	return "APIGW.0201"
}

// gatewayBody is the shape of the gateway's own errors.
func gatewayBody(code, message, requestID string) []byte {
	return encode(map[string]any{"error_msg": message, "error_code": code, "request_id": requestID})
}

// encode is for values of this package, none of which JSON cannot show.
func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}
