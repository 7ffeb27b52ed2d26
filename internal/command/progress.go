package command

import (
	"fmt"
	"sync/atomic"
	"time"
)

const (
	progressFrom  = 20 // reads
	progressEvery = 100 * time.Millisecond
)

// progress is a line on stderr that counts reads, if there are enough of them to wait for.
type progress struct {
	terminal Terminal
	total    func() int // grows when projects are discovered
	done     atomic.Int64
	shown    bool
	stop     chan struct{} // closed when the line is to end
	stopped  chan struct{} // closed when nothing is written any more
}

// read counts a read.
func (p *progress) read() { p.done.Add(1) }

// begin shows the line until end. total tells how many reads there will be, as far as that is known.
func (p *progress) begin(total func() int) {
	p.total, p.stop, p.stopped = total, make(chan struct{}), make(chan struct{})
	go p.show()
}

func (p *progress) show() {
	defer close(p.stopped)
	if !p.terminal.Live {
		return
	}
	again := time.NewTicker(progressEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			p.write()
		case <-p.stop:
			p.write()
			return
		}
	}
}

func (p *progress) write() {
	if total := p.total(); total >= progressFrom {
		_, _ = fmt.Fprintf(p.terminal.Err, "\r%d of %d read", p.done.Load(), total)
		p.shown = true
	}
}

// end wipes the line. Reads that end later don't show.
func (p *progress) end() {
	close(p.stop)
	<-p.stopped
	if p.shown {
		_, _ = fmt.Fprint(p.terminal.Err, "\r\x1b[K")
	}
}
