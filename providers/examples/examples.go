// Package examples has the example answers of API documents, verbatim, for tests. It is not part of the binary.
package examples

import "embed"

//go:embed *.json
var files embed.FS

// Of returns the example answer of a service; nil if its document has none.
func Of(service string) []byte {
	body, _ := files.ReadFile(service + ".json")
	return body
}
