package nats

import "time"

const (
	// fullRate is the rate at which a whole table is published: 10,000 endpoints in
	// 0.4 s after a burst, and well below the 40,000 a second that a router decodes.
	fullRate = 16000
	// fullBurst is how many messages may be sent at once after a quiet time. A router buffers
	// 131,072 messages.
	fullBurst = 4000
	// shortestPause is the pause between two portions.
	shortestPause = 20 * time.Millisecond
)

// allowance is the number of messages that may be sent now. It grows with time, up to
// a bound, and sending uses it up.
type allowance struct {
	amount float64
	at     time.Time
}

func (a *allowance) grow(now time.Time, perSecond, bound float64) {
	if elapsed := now.Sub(a.at); elapsed > 0 {
		a.amount = min(a.amount+elapsed.Seconds()*perSecond, bound)
	}
	a.at = now
}

// until returns how long it takes until one message may be sent.
func (a *allowance) until(perSecond float64) time.Duration {
	if a.amount >= 1 || perSecond <= 0 {
		return 0
	}
	return time.Duration((1 - a.amount) / perSecond * float64(time.Second))
}

// spend charges one message, also if none may be sent: a message that can't wait
// delays the others, for less than a second.
func (a *allowance) spend() { a.amount = max(a.amount-1, -fullBurst) }
