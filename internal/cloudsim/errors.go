package cloudsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ErrorBody returns the body of an error as the API reference of the service (cts, ces, taurusdb, dcs, dbss, iam) shows it, or as the
// gateway makes it for any other name. Shapes are the documents'; the number in an error code is a stand-in made of the status,
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
		return gatewayBody(status, message, hexID("request"))
	}
}

// gatewayBody is the shape of the gateway's own errors; codes are those of "Error Codes" in its User Guide.
func gatewayBody(status int, message, requestID string) []byte {
	code := "APIGW.0201"
	switch status {
	case http.StatusUnauthorized:
		code = "APIGW.0301"
	case http.StatusForbidden:
		code = "APIGW.0302"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		code = "APIGW.0101"
	case http.StatusTooManyRequests:
		code = "APIGW.0308"
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		code = "APIGW.0202"
	case http.StatusGatewayTimeout:
		code = "APIGW.0203"
	}
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
