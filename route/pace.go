package route

import "time"

const (
	// fullRate is at what rate a whole table is published: 10,000 endpoints in
	// less than a second, and well below the 40,000 a second that a router decodes.
	fullRate = 16000
	// fullBurst is what may go out at once after a quiet time. A router buffers
	// 131,072 messages.
	fullBurst = 4000
	// shortestPause is how long the emitter rests between two portions.
	shortestPause = 20 * time.Millisecond
)

// allowance says how many messages may be sent: it grows with time, up to a
// bound, and sending uses it up.
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

// until is how long it takes to have one message's worth.
func (a *allowance) until(perSecond float64) time.Duration {
	if a.amount >= 1 || perSecond <= 0 {
		return 0
	}
	return time.Duration((1 - a.amount) / perSecond * float64(time.Second))
}

// spend takes one message's worth, also beyond what is there: what can't wait
// makes the rest wait, for less than a second.
func (a *allowance) spend() { a.amount = max(a.amount-1, -fullBurst) }
