package bench

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Sizes of the plot, in pixels: one panel under the other, one for each load.
const (
	plotWidth   = 960
	panelHeight = 340
	panelTop    = 44
	panelLeft   = 72
	panelRight  = 190 // room for the names of the lines
	panelBottom = 44
	plotHead    = 34
)

// plotStyle has colours that differ for the colour-blind too, on light and on dark paper.
const plotStyle = `
svg { background: #ffffff; font: 13px system-ui, sans-serif; }
text { fill: #1a1a1a; } .quiet { fill: #5c5c5c; } .grid { stroke: #e2e2e2; } .axis { stroke: #8a8a8a; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .base { stroke-dasharray: 6 4; }
.c0 { stroke: #0072b2; } .c1 { stroke: #d55e00; } .c2 { stroke: #009e73; } .c3 { stroke: #b0568c; } .c4 { stroke: #8c6d00; } .c5 { stroke: #555555; }
@media (prefers-color-scheme: dark) {
  svg { background: #14171a; } text { fill: #eceff1; } .quiet { fill: #a7b0b6; } .grid { stroke: #2b3136; } .axis { stroke: #6d767c; }
  .c0 { stroke: #56b4e9; } .c1 { stroke: #ff8a3d; } .c2 { stroke: #2fcf9f; } .c3 { stroke: #e79ac9; } .c4 { stroke: #e6c229; } .c5 { stroke: #b5b5b5; }
}
`

const plotColours = 6

// WriteSVG draws the distribution of latency: how long calls took, against how rare such a call is; lists are left out. Both axes are
// logarithmic. The picture needs nothing from anywhere else.
func (r *Report) WriteSVG(out io.Writer) error {
	var b strings.Builder
	loads := r.loads()
	height := plotHead + len(loads)*panelHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Latency by percentile">`,
		plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, "\n<style>%s</style>\n", plotStyle)
	text(&b, panelLeft, 22, "quiet", "start", fmt.Sprintf("belpoort bench %s, %s, %s", r.Version, r.Began.Format("2006-01-02 15:04 MST"), r.Machine))
	colours := map[string]int{}
	for i, l := range loads {
		p := newPanel(plotHead+i*panelHeight, l, r.cellsOf(l))
		p.draw(&b, colours)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// WriteHTML is the plot and the table as one page.
func (r *Report) WriteHTML(out io.Writer) error {
	var table, plot strings.Builder
	if err := r.WriteTable(&table); err != nil {
		return err
	}
	if err := r.WriteSVG(&plot); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="color-scheme" content="light dark"/>
<title>belpoort bench</title>
<style>body { margin: 2rem; } svg { max-width: 100%%; height: auto; } pre { overflow-x: auto; }</style>
</head>
<body>
%s<pre>%s</pre>
</body>
</html>
`, plot.String(), html.EscapeString(table.String()))
	return err
}

func (r *Report) cellsOf(l Load) []*Cell {
	var cells []*Cell
	for i := range r.Cells {
		if r.Cells[i].Load == l && len(r.Cells[i].Distribution) > 0 && !r.Cells[i].lists() {
			cells = append(cells, &r.Cells[i])
		}
	}
	return cells
}

// panel is the plot of one load.
type panel struct {
	top     int
	load    Load
	cells   []*Cell
	decades float64 // of rarity: 3 ends at 99.9 %
	low     float64 // logarithms of microseconds
	high    float64
}

func newPanel(top int, l Load, cells []*Cell) *panel {
	p := &panel{top: top, load: l, cells: cells, decades: 1, low: math.Inf(1), high: math.Inf(-1)}
	for _, c := range cells {
		for _, point := range c.Distribution {
			p.decades = max(p.decades, rarity(point.Percentile))
			p.low, p.high = min(p.low, logOf(point.Latency)), max(p.high, logOf(point.Latency))
		}
	}
	if len(cells) == 0 {
		p.low, p.high = 0, 1
	}
	p.low, p.high = math.Floor(p.low*4)/4, math.Ceil(p.high*4+0.01)/4
	return p
}

func rarity(percentile float64) float64 { return -math.Log10(1 - percentile/100) }

func logOf(us float64) float64 { return math.Log10(max(us, 0.1)) }

func (p *panel) x(decades float64) float64 {
	return panelLeft + decades/p.decades*(plotWidth-panelLeft-panelRight)
}

func (p *panel) y(log float64) float64 {
	const height = panelHeight - panelTop - panelBottom
	return float64(p.top+panelTop) + height*(1-(log-p.low)/(p.high-p.low))
}

func (p *panel) draw(b *strings.Builder, colours map[string]int) {
	text(b, panelLeft, float64(p.top+24), "", "start", p.load.String())
	p.drawGrid(b)
	for i, c := range p.cells {
		colour, known := colours[c.Contestant]
		if !known {
			colour = len(colours) % plotColours
			colours[c.Contestant] = colour
		}
		p.drawLine(b, c, i, colour)
	}
}

func (p *panel) drawGrid(b *strings.Builder) {
	left, right, top, bottom := p.x(0), p.x(p.decades), p.y(p.high), p.y(p.low)
	for decade := 0; float64(decade) <= p.decades; decade++ {
		x := p.x(float64(decade))
		segment(b, "grid", x, top, x, bottom)
		text(b, x, bottom+18, "quiet", "middle", percentileName(decade))
	}
	for decade := int(math.Floor(p.low)); float64(decade) <= p.high; decade++ {
		for _, digit := range []float64{1, 2, 5} {
			us := digit * math.Pow(10, float64(decade))
			if log := math.Log10(us); log >= p.low && log <= p.high {
				segment(b, "grid", left, p.y(log), right, p.y(log))
				text(b, left-8, p.y(log)+4, "quiet", "end", fmt.Sprintf("%g ms", us/1000))
			}
		}
	}
	segment(b, "axis", left, bottom, right, bottom)
	segment(b, "axis", left, top, left, bottom)
	text(b, right, bottom+36, "quiet", "end", "percentile of the calls")
}

func percentileName(decades int) string {
	if decades == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.*f %%", max(decades-2, 0), 100*(1-math.Pow(10, -float64(decades))))
}

func (p *panel) drawLine(b *strings.Builder, c *Cell, place, colour int) {
	class := fmt.Sprintf("line c%d", colour)
	if c.Baseline {
		class += " base"
	}
	fmt.Fprintf(b, `<polyline class="%s" points="`, class)
	for i, point := range c.Distribution {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(b, "%.1f,%.1f", p.x(rarity(point.Percentile)), p.y(logOf(point.Latency)))
	}
	fmt.Fprintf(b, `"><title>%s</title></polyline>`+"\n", html.EscapeString(c.Contestant))
	const spacing = 22
	y := float64(p.top + panelTop + 10 + place*spacing)
	segment(b, class, plotWidth-panelRight+16, y, plotWidth-panelRight+46, y)
	text(b, plotWidth-panelRight+54, y+4, "", "start", c.Contestant)
}

func segment(b *strings.Builder, class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func text(b *strings.Builder, x, y float64, class, anchor, words string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(words))
}
