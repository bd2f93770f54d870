package live

import "time"

// deadlines is a heap of entries, the soonest deadline first. Each entry knows
// its slot, counted from 1.
type deadlines []*Entry

// setDeadline says from when on time alone may end e's connection; the zero time
// is never. It goes from the first instant after t: what ends at t is good at t.
func (r *Registry) setDeadline(e *Entry, t time.Time) {
	before := r.due.first()
	if e.slot > 0 {
		r.due.remove(e)
	}
	if !t.IsZero() {
		e.until = t.UnixNano()
		r.due.add(e)
	}
	if first := r.due.first(); first != 0 && (before == 0 || first < before) {
		select {
		case r.sooner <- struct{}{}:
		default: // it has not been looked at since
		}
	}
}

// Due appends to all the connections whose deadline has passed at now, and
// returns when the next one passes; the zero time is never. Those who are due are
// due again after a while, unless they are moved or removed.
func (r *Registry) Due(all []*Entry, now time.Time, again time.Duration) ([]*Entry, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := now.UnixNano(); len(r.due) > 0 && r.due[0].until < at; {
		e := r.due[0]
		all = append(all, e)
		e.until = now.Add(again).UnixNano()
		r.due.down(0)
	}
	if len(r.due) == 0 {
		return all, time.Time{}
	}
	return all, time.Unix(0, r.due[0].until)
}

// first is the soonest deadline, 0 if there is none.
func (h deadlines) first() int64 {
	if len(h) == 0 {
		return 0
	}
	return h[0].until
}

func (h *deadlines) add(e *Entry) {
	*h = append(*h, e)
	e.slot = int32(len(*h))
	h.up(len(*h) - 1)
}

func (h *deadlines) remove(e *Entry) {
	i, last := int(e.slot)-1, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	e.slot = 0
	if i < last {
		h.down(i)
		h.up(i)
	}
	if cap(*h) > 1024 && len(*h) < cap(*h)/4 { // gives back what a burst took
		*h = append(make(deadlines, 0, cap(*h)/2), *h...)
	}
}

func (h deadlines) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = int32(i+1), int32(j+1)
}

func (h deadlines) up(i int) {
	for i > 0 && h[i].until < h[(i-1)/2].until {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h deadlines) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].until < h[least].until {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}
