package unitycatalog

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"ucwarden/connector/doctor"
)

// The skew of clocks from which on something is said: validity periods are judged by our clock, tokens by both.
const (
	noticeSkew  = 5 * time.Second
	harmfulSkew = time.Minute
)

// skew is by how much the clock of the server that sent an answer and ours differ at least.
type skew struct {
	by      time.Duration
	unknown string // why it is not known; empty where it is
}

// skewOf compares our clock with the Date of an answer, which counts whole seconds and was set somewhere between the request
// and the answer's arrival.
func skewOf(asked, answered time.Time, header http.Header) skew {
	theirs, err := http.ParseTime(header.Get("Date"))
	switch {
	case err != nil:
		return skew{unknown: "the answer has no Date"}
	case header.Get("Age") != "":
		return skew{unknown: "the answer is a cache's"}
	}
	took := answered.Sub(asked)
	between := theirs.Add(time.Second / 2).Sub(asked.Add(took / 2)).Abs()
	return skew{by: max(0, between-took/2-time.Second/2)}
}

const setClock = "let a time service (NTP) set the clock of this machine"

func (s skew) differ() string {
	return fmt.Sprintf("our clock and the workspace's differ by %s", s.by.Round(time.Second))
}

const judgedByOurs = "validity periods of policies and tokens are judged by ours"

// log warns of clocks that differ.
func (s skew) log(log *slog.Logger) {
	if s.by > noticeSkew {
		log.Warn(s.differ() + ": " + judgedByOurs + "; " + setClock)
	}
}

// checkClock says whether the clocks differed when the workspace first answered.
func (c *Client) checkClock(context.Context) []doctor.Finding {
	switch {
	case c.clock.unknown != "":
		return []doctor.Finding{doctor.Note.Is("compare the clock of this machine with a time server by hand", "the workspace's clock could not be read: %s", c.clock.unknown)}
	case c.clock.by > harmfulSkew:
		return []doctor.Finding{doctor.Problem.Is(setClock, "%s: %s", c.clock.differ(), judgedByOurs)}
	case c.clock.by > noticeSkew:
		return []doctor.Finding{doctor.Warning.Is(setClock, "%s", c.clock.differ())}
	}
	return []doctor.Finding{doctor.Found("our clock and the workspace's agree")}
}
