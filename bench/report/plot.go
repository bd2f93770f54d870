package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Measures of the plot, in pixels.
const (
	plotWidth = 800
	barsLeft  = 256 // names are left of it
	barsRight = 664 // figures are right of it
	firstBar  = 92
	barHeight = 13
	barPitch  = 17
	groupGap  = 20
)

// most is the ratio beyond which bars are cut off: one that is far out would make
// all others too short to compare.
const most = 3

// style has the colors for a light and for a dark surrounding. The drawing brings
// its own background, so that it can be read where a page is of the other kind.
const style = `
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .work { font-weight: 600 } .small { font-size: 11px; fill: #59636e }
.card { fill: #ffffff; stroke: #d1d9e0 } .grid { stroke: #d1d9e0 } .one { stroke: #59636e } .cut { stroke: #ffffff; stroke-width: 4 }
.bar { fill: #9aa4af } .first { fill: #0969da } .required { stroke: #cf222e; stroke-width: 2; stroke-dasharray: 4 2 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .small { fill: #9198a1 }
.card { fill: #0d1117; stroke: #3d444d } .grid { stroke: #3d444d } .one { stroke: #9198a1 } .cut { stroke: #0d1117 }
.bar { fill: #656c76 } .first { fill: #4493f8 } .required { stroke: #f85149 }
}
`

// Plot draws the report as SVG: for each workload a group of bars, one for each
// server, as long as its figure divided by the better peer's, and a line at the
// most that is required of the first. Equal reports make equal bytes. A report
// with errors is refused: work that was not done compares with nothing.
func (r *Report) Plot(w io.Writer) error {
	if n := r.Errors(); n > 0 {
		return fmt.Errorf("%d workers stopped at an error, see the table: there is nothing to plot", n)
	}
	d := drawing{scale: min(r.longest(), most)}
	height := firstBar + groupGap
	compared := slices.DeleteFunc(slices.Clone(r.Workloads), func(w *Workload) bool { return len(w.Rows) == 0 })
	for _, work := range compared {
		height += len(work.Rows)*barPitch + groupGap
	}
	d.f(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d">`, plotWidth, height, plotWidth, height)
	d.f(`<title id="t">What each server needs for the same work</title>`)
	d.f(`<desc id="d">Bars are figures divided by the better peer's, which is 1; less is better. A dashed line is the most that is required. A bar with a gap is cut off.</desc>`)
	d.f(`<style>%s</style>`, style)
	d.f(`<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>`, plotWidth-1, height-1)
	d.text(16, 28, "title", "What each server needs for the same work, the better peer being 1")
	d.text(16, 47, "small", fmt.Sprintf("less is better; medians of %s; %s, %d cores", turns(r.Turns), r.Date.Format("2006-01-02"), r.Cores))
	d.f(`<line class="required" x1="%d" y1="43" x2="%d" y2="43"/>`, barsRight-104, barsRight-84)
	d.text(barsRight-78, 47, "small", "the most required of "+r.first())
	d.grid(firstBar-12, height-groupGap)
	y := firstBar
	for _, work := range compared {
		d.group(work, y)
		y += len(work.Rows)*barPitch + groupGap
	}
	d.f(`</svg>`)
	_, err := io.WriteString(w, d.b.String())
	return err
}

// first is the name of the server that is held against the others.
func (r *Report) first() string {
	for _, w := range r.Workloads {
		if len(w.Rows) > 0 {
			return w.Rows[0].Server
		}
	}
	return ""
}

// longest is the ratio that the longest bar or requirement needs, in steps of a half.
func (r *Report) longest() float64 {
	longest := 1.0
	for _, w := range r.Workloads {
		longest = max(longest, w.Required)
		for _, row := range w.Rows {
			longest = max(longest, w.ratio(row))
		}
	}
	return math.Ceil(longest*2) / 2
}

// A drawing is SVG in the making.
type drawing struct {
	b     strings.Builder
	scale float64 // the ratio at barsRight
}

func (d *drawing) f(format string, values ...any) { fmt.Fprintf(&d.b, format+"\n", values...) }

// text writes s with its baseline at y; a class "end" has it end at x.
func (d *drawing) text(x, y int, class, s string) {
	anchor := ""
	if rest, is := strings.CutPrefix(class, "end "); is {
		anchor, class = ` text-anchor="end"`, rest
	}
	d.f(`<text class="%s" x="%d" y="%d"%s>%s</text>`, class, x, y, anchor, escaped(s))
}

func escaped(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

// x is where a ratio lies.
func (d *drawing) x(ratio float64) float64 {
	return barsLeft + min(ratio/d.scale, 1)*(barsRight-barsLeft)
}

// grid draws a line for every half.
func (d *drawing) grid(top, bottom int) {
	for at := 0.0; at <= d.scale; at += 0.5 {
		class := "grid"
		if at == 1 {
			class = "one"
		}
		d.f(`<line class="%s" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, class, d.x(at), top, d.x(at), bottom)
		d.f(`<text class="small" x="%.1f" y="%d" text-anchor="middle">%g</text>`, d.x(at), top-5, at)
	}
}

// group draws the bars of a workload from y down.
func (d *drawing) group(w *Workload, y int) {
	d.text(16, y+11, "work", w.Name)
	d.text(16, y+11+barPitch, "small", w.Metric.title())
	for i, row := range w.Rows {
		class, mark := "bar", ""
		if i == 0 {
			class = "bar first"
			if w.missed() {
				mark = " !"
			}
		}
		top := y + i*barPitch
		d.text(barsLeft-8, top+11, "end small", row.Server)
		ratio := w.ratio(row)
		if ratio == 0 {
			d.text(barsLeft+8, top+11, "small", w.Metric.text(row.Median))
			continue
		}
		d.f(`<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`, class, barsLeft, top, d.x(ratio)-barsLeft, barHeight)
		if ratio > d.scale {
			d.f(`<path class="cut" d="M%d %dl4 -%d"/>`, barsRight-14, top+barHeight+1, barHeight+2)
		}
		d.text(barsRight+10, top+11, "value", fmt.Sprintf("%.2f%s", ratio, mark))
		d.text(plotWidth-16, top+11, "end small", w.Metric.text(row.Median))
	}
	if w.Required > 0 {
		x := d.x(w.Required)
		d.f(`<line class="required" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, x, y-3, x, y+len(w.Rows)*barPitch)
	}
}
