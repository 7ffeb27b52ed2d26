package strictyaml

import (
	"errors"
	"regexp"
	syntaxes "regexp/syntax"
)

// Pattern returns a regular expression that matches whole texts. An error only has the kind of the mistake: those of regexp quote the
// pattern, which may be a secret.
func Pattern(text string) (*regexp.Regexp, error) {
	_, err := regexp.Compile(text) // by itself: its brackets must not close those of the anchors
	if err == nil {
		var whole *regexp.Regexp
		if whole, err = regexp.Compile("^(?:" + text + ")$"); err == nil {
			return whole, nil
		}
	}
	if e, ok := errors.AsType[*syntaxes.Error](err); ok {
		return nil, errors.New(e.Code.String())
	}
	return nil, errors.New("it can't be used")
}
