package e2e

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/textproto"
)

// serveMail receives mail until the listener is closed.
func (in *inbox) serveMail(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go in.receiveMail(textproto.NewConn(conn))
	}
}

// receiveMail speaks as little SMTP as one mail takes. A mail that fails is missed where it is waited for.
func (in *inbox) receiveMail(conn *textproto.Conn) {
	defer conn.Close()
	_ = conn.PrintfLine("220 inbox")
	for {
		switch line, err := conn.ReadLine(); {
		case err != nil:
			return
		case line == "QUIT":
			_ = conn.PrintfLine("221 bye")
			return
		case line == "DATA":
			_ = conn.PrintfLine("354 go on")
			message, err := conn.ReadDotBytes()
			if err != nil {
				return
			}
			text, err := readMail(message)
			if err != nil {
				text = err.Error()
			}
			in.add(letter{"mail", "cloud_quota", text})
			_ = conn.PrintfLine("250 received")
		default:
			_ = conn.PrintfLine("250 go on")
		}
	}
}

// readMail returns the subject, and the text of all parts.
func readMail(message []byte) (string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return "", err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return "", err
	}
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	all := subject + "\n\n"
	for parts := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return "", err
		}
		all += string(text)
	}
}
