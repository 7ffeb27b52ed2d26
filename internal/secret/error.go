package secret

// quietError says what another error does, without the secrets in it.
type quietError struct {
	text string
	err  error
}

// Quiet returns an error whose text is that of err, hidden: net/http, for one, quotes an answer that is no HTTP, which may be an echo.
func Quiet(err error, hide func(string) string) error {
	text := hide(err.Error())
	if text == err.Error() {
		return err
	}
	return &quietError{text, err}
}

// Error says what happened.
func (e *quietError) Error() string { return e.text }

// Unwrap returns the error itself, for those who look at its type.
func (e *quietError) Unwrap() error { return e.err }
