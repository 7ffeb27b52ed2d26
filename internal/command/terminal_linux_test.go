package command_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"cloud_quota_exporter/internal/command"
)

// TestColors: only a terminal that supports escape sequences gets them.
func TestColors(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	terminal := newTerminal(t)
	for _, tc := range []struct {
		out           *os.File
		term, noColor string
		color, live   bool
	}{
		{terminal, "xterm-256color", "", true, true},
		{terminal, "xterm-256color", "1", false, true},
		{terminal, "dumb", "", false, false},
		{terminal, "", "", false, false},
		{file, "xterm-256color", "", false, false},
	} {
		t.Setenv("TERM", tc.term)
		t.Setenv("NO_COLOR", tc.noColor)
		if got := command.NewTerminal(tc.out, tc.out); got.Color != tc.color || got.Live != tc.live {
			t.Errorf("%s, TERM=%s, NO_COLOR=%s: color %t, live %t", tc.out.Name(), tc.term, tc.noColor, got.Color, got.Live)
		}
	}
}

// newTerminal returns a pseudoterminal of Linux.
func newTerminal(t *testing.T) *os.File {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	var number, unlocked int32
	for request, value := range map[uintptr]*int32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlocked} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keyboard.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return terminal
}
