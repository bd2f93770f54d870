package pattern

// MaxCaptures is how many parts of a text can be told apart.
const MaxCaptures = 9

// Captures are the parts of a text that a pattern left open. The zero value has none.
type Captures struct {
	text []byte
	n    int
	at   [MaxCaptures][2]int
}

// Part returns the i-th part, from 1; nil if there is none.
func (c *Captures) Part(i int) []byte {
	if i < 1 || i > c.n || c.at[i-1][0] < 0 {
		return nil
	}
	return c.text[c.at[i-1][0]:c.at[i-1][1]]
}

func (c *Captures) set(i, from, to int) {
	if c != nil && i < MaxCaptures {
		c.at[i], c.n = [2]int{from, to}, max(c.n, i+1)
	}
}

func (c *Captures) end(i, to int) {
	if c != nil && i < MaxCaptures {
		c.at[i][1] = to
	}
}

// Capture is Match that says what was left open: of a glob what each star took,
// the last one as much as it can, those before as little.
func (p *Pattern) Capture(text []byte) (Captures, bool) {
	c := Captures{text: text}
	if p.form != expression {
		pattern := p.text
		if p.fold {
			pattern = lower(pattern)
		}
		ok := stars(pattern, text, p.fold, &c)
		return c, ok
	}
	at := p.re.FindSubmatchIndex(text)
	for i := 1; i < len(at)/2; i++ {
		c.set(i-1, at[2*i], at[2*i+1])
	}
	return c, at != nil
}
