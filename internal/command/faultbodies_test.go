package command_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// examples are the resources of the documents' examples, with which the simulated cloud answers.
var examples = map[string][]string{
	"cts":      {`{"type":"data_tracker","used":9,"quota":100}`, `{"type":"system_tracker","used":1,"quota":1}`},
	"ces":      {`{"type":"alarm","used":10,"quota":1000,"unit":""}`},
	"taurusdb": {`{"type":"instance","used":4,"quota":50}`},
	"dcs":      {`{"type":"instance","used":3,"quota":10,"min":1,"max":10}`, `{"type":"ram","used":22,"quota":800,"min":1,"max":800,"unit":"GB"}`},
	"dbss":     {`"cpu":796`, `"ram":1622016`, `"audit_quota":1`},
	"iam":      {`{"id":"` + projectID + `","name":"ap-southeast-3","enabled":true}`, `{"id":"` + stagingID + `","name":"ap-southeast-1","enabled":true}`},
}

// usual is the usual answer, with more behind what is in it: resources, fields of DBSS, projects of IAM.
func usual(asked string, more ...string) string {
	inside := strings.Join(slices.Concat(examples[asked], more), ",")
	switch asked {
	case "cts":
		return `{"resources":[` + inside + `]}`
	case "dbss":
		return `{` + inside + `}`
	case "iam":
		return `{"projects":[` + inside + `]}`
	default:
		return `{"quotas":{"resources":[` + inside + `]}}`
	}
}

// extra is something more in an answer: a resource, a field of DBSS, a project of IAM.
type extra struct{ resource, field, project string }

func (e extra) of(asked string) string {
	switch asked {
	case "dbss":
		return e.field
	case "iam":
		return e.project
	default:
		return e.resource
	}
}

// beside has something bad behind what is good.
func beside(name, says string, bad extra) wrong {
	return wrong{
		name: name, half: true, want: "read, 1 left out", says: says, body: func(asked string) string { return usual(asked, bad.of(asked)) },
		but: map[string]string{"dbss": isRead, lookUp: isRead, discoveryFirst: isRead, discoveryLater: isRead},
	}
}

// number has a number that is none, in a field that DBSS must have and IAM wants otherwise.
func number(name, number, says string) wrong {
	w := beside(name, says, extra{`{"type":"bad","used":` + number + `,"quota":2}`, `"cpu":` + number, `{"id":"x","name":"MOS","enabled":` + number + `}`})
	w.but = map[string]string{lookUp: "malformed", discoveryFirst: "malformed", discoveryLater: "malformed"}
	w.gone = map[string]*regexp.Regexp{"dbss": regexp.MustCompile(`resource_type="cpu"`)}
	return w
}

// halfReadable are answers of which the good part must be served.
func halfReadable() []wrong {
	long := strings.Repeat("x", 10_000)
	strings10k := beside("a type of 10,000 characters", "longer than 256 bytes",
		extra{`{"type":"` + long + `","used":1,"quota":2}`, `"` + long + `":1`, `{"id":"x","name":"` + long + `"}`})
	noUTF8 := beside("a type that is no UTF-8", "is no valid UTF-8",
		extra{`{"type":"a` + "\xff" + `","used":1,"quota":2}`, `"a` + "\xff" + `":1`, `{"id":"x","name":"M` + "\xff" + `S"}`})
	twice := beside("a resource twice", "is there twice", extra{})
	twice.body = func(asked string) string { return usual(asked, examples[asked][0]) }
	many := beside("10,000 resources", "more than 200 resources", extra{})
	many.want, many.new = "read, 9800 left out", 200
	many.body = func(asked string) string { return usual(asked, numbered(asked, 10_000-len(examples[asked]))...) }
	asStrings := beside("numbers as strings", "cannot unmarshal", extra{})
	asStrings.want, asStrings.but = isRead, map[string]string{lookUp: "malformed", discoveryFirst: "malformed", discoveryLater: "malformed"}
	bare := regexp.MustCompile(`:(-?[0-9]+|true)`)
	asStrings.body = func(asked string) string { return bare.ReplaceAllString(usual(asked), `:"$1"`) }
	return []wrong{
		asStrings,
		number("a negative number", "-1", "used is -1|cpu is -1|cannot unmarshal"),
		number("1e400", "1e400", "want a number|cannot unmarshal"),
		number("NaN in a string", `"NaN"`, "want a number|cannot unmarshal"),
		twice,
		beside("a resource without a type", "it has no type", extra{`{"used":1,"quota":2}`, `"disk":1`, `{"name":"ap-southeast-3"}`}),
		noUTF8, strings10k, many,
	}
}

// numbered are resources, fields or projects of different names.
func numbered(asked string, n int) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = extra{
			fmt.Sprintf(`{"type":"t%d","used":1,"quota":2}`, i), fmt.Sprintf(`"t%d":1`, i), fmt.Sprintf(`{"id":"%d","name":"MOS"}`, i),
		}.of(asked)
	}
	return items
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // a buffer takes everything
	_ = w.Close()
	return b.String()
}
