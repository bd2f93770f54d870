package pattern

// Covers reports whether p surely takes every text that other takes. False may
// mean that nobody can tell: of regular expressions, only the same one is covered,
// or any by *.
func (p *Pattern) Covers(other *Pattern) bool {
	switch {
	case p.form == anything:
		return true
	case p.form == expression || other.form == expression:
		return p.form == other.form && p.text == other.text && p.fold == other.fold
	case other.fold && !p.fold:
		return false
	}
	wide, narrow := p.text, other.text
	if p.fold {
		wide, narrow = lower(wide), lower(narrow)
	}
	return covers(wide, narrow)
}

// covers compares a glob with another one as if that were a text: a star of it
// stands for texts that only a star can take, a ? for those that ? or * can.
func covers(wide, narrow string) bool {
	p, v := 0, 0
	star, resume := -1, 0
	for v < len(narrow) {
		switch {
		case p < len(wide) && wide[p] == '*':
			star, resume = p, v
			p++
		case p < len(wide) && narrow[v] != '*' && (wide[p] == '?' || wide[p] == narrow[v]):
			p++
			v++
		case star >= 0:
			resume++
			p, v = star+1, resume
		default:
			return false
		}
	}
	for p < len(wide) && wide[p] == '*' {
		p++
	}
	return p == len(wide)
}
