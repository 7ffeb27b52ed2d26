package cloudsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ErrorBody returns the body of an error as the API reference of the service shows it (cts, ces, taurusdb, dcs, dbss, iam). For any other
// name, it returns an error of the gateway. The error codes of the gateway are the documented ones; those of services are made of the status.
func ErrorBody(service string, status int, message string) []byte {
	code := fmt.Sprintf("%s.%04d", strings.ToUpper(service), status)
	switch service {
	case "cts":
		return JSON(map[string]any{"error_code": code, "error_msg": message})
	case "taurusdb":
		return JSON(map[string]any{"error_code": fmt.Sprintf("DBS.%06d", status), "error_msg": message})
	case "dcs":
		return JSON(map[string]any{"error_code": code, "error_msg": message, "error_ext_msg": nil})
	case "ces":
		number := strconv.Itoa(status)
		return JSON(map[string]any{
			"http_code": number,
			"message":   map[string]any{"details": message, "code": number},
		})
	case "dbss":
		return JSON(map[string]any{
			"error_code": code, "error_msg": message, "encoded_authorization_message": "",
			"details": []any{map[string]any{"error_code": code, "error_msg": message}},
		})
	case "iam":
		return JSON(map[string]any{
			"error": map[string]any{"code": status, "message": message, "title": http.StatusText(status)},
		})
	default:
		return gatewayBody(gatewayCode(status), message, ID("request"))
	}
}

// gatewayCode returns the error code for a status, as in "Error Codes" of the gateway's User Guide.
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

// gatewayBody returns the body of an error of the gateway.
func gatewayBody(code, message, requestID string) []byte {
	return JSON(map[string]any{"error_msg": message, "error_code": code, "request_id": requestID})
}

// JSON returns v as JSON. It panics if that is impossible.
func JSON(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}
