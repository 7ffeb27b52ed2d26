package huaweicloud

import (
	"errors"
	"strings"
)

// remedied is an error that says what to do about it.
type remedied interface {
	error
	// Remedy is made of this program's own words and of the configuration's. Nothing that came from the network is in it, neither text nor
	// numbers: people do what it says, and problems with the same remedy are shown as one.
	Remedy() string
}

// advised is an error, and what to do about it.
type advised struct {
	err    error
	remedy string
}

// Advise returns an error that adds to err what to do about it. What came from the network belongs in err.
func Advise(err error, remedy string) error { return &advised{err, remedy} }

// Error says what err does, and what to do.
func (e *advised) Error() string { return e.err.Error() + ending(e.remedy) }

// Unwrap returns the error without the advice.
func (e *advised) Unwrap() error { return e.err }

// Remedy says what to do.
func (e *advised) Remedy() string { return e.remedy }

// Remedy returns what to do about err, as the first error of its tree says that has a remedy; empty if none has.
func Remedy(err error) string {
	if e, ok := errors.AsType[remedied](err); ok {
		return e.Remedy()
	}
	return ""
}

// What returns what was tried and what came back: the text of err without the remedy. The text is not searched for a remedy: Remedy knows it
// from a field, and whoever wraps an error puts its text last. If the remedy is elsewhere in the text, the text is returned whole.
func What(err error) string { return strings.TrimSuffix(err.Error(), ending(Remedy(err))) }

// ending is how the text of every error with a remedy ends.
func ending(remedy string) string {
	if remedy == "" {
		return ""
	}
	return "; " + remedy
}
