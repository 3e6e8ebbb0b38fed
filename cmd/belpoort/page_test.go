package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// browser is a real one, looking at a page as a person would.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // what the page's scripts threw
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(t.TempDir()))
	allocated, stop := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, closeTab := chromedp.NewContext(allocated)
	b := &browser{t: t, ctx: ctx}
	t.Cleanup(func() { closeTab(); stop() })
	b.do(chromedp.EmulateViewport(1440, 960))
	err = chromedp.Listen(ctx, func(event any) {
		if thrown, is := event.(*runtime.EventExceptionThrown); is {
			b.mu.Lock()
			b.complaints = append(b.complaints, thrown.ExceptionDetails.Text+" "+thrown.ExceptionDetails.URL)
			b.mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// sees waits until an expression of the page's is true.
func (b *browser) sees(what, expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		seen, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && seen {
			return
		}
		if time.Now().After(deadline) {
			text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			b.photograph("unseen")
			b.t.Fatalf("%s is not seen (%v):\n%s", what, err, text)
		}
	}
}

// photograph keeps a picture of the page in the folder that BELPOORT_SCREENSHOTS names; without it, only tries.
func (b *browser) photograph(name string) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil || len(picture) < 10_000 {
		b.t.Fatalf("a picture of %d bytes: %v", len(picture), err)
	}
	if folder := os.Getenv("BELPOORT_SCREENSHOTS"); folder != "" {
		if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
			b.t.Error(err)
		}
	}
}

// lingers lets a fault be seen for a while where pictures are kept.
func (b *browser) lingers() {
	if os.Getenv("BELPOORT_SCREENSHOTS") != "" {
		time.Sleep(6 * time.Second)
	}
}

func (b *browser) enter(field, value string) {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS(`#look-form [name=`+field+`]`), value))
}

// traffic asks for calls to known and unknown callees, until the test ends.
func (n *clusterNode) traffic(known int, every time.Duration) {
	ctx, stop := context.WithCancel(n.t.Context())
	var all sync.WaitGroup
	n.t.Cleanup(func() { stop(); all.Wait() })
	for worker := range 4 {
		all.Go(func() {
			for i := worker; ctx.Err() == nil; i += 4 {
				limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
				callee := subject(i % known)
				if i%5 == 0 {
					callee = subject(100_000 + i) // not in the cache, without a basis
				}
				_, _ = n.ask(limited, callee)
				cancel()
				time.Sleep(every)
			}
		})
	}
}

// The operators' page in a real browser: it loads, goes on by itself, and shows a slow ledger, an objection path that is
// broken, and why a number may be called. BELPOORT_PAGE_SHOW=2m gathers that much before the pictures are taken.
func TestThePageShowsWhatHappens(t *testing.T) {
	c := startCluster(t, 1)
	n := c.nodes[0]
	n.consents(0, 200)
	n.traffic(200, 10*time.Millisecond)
	if _, err := n.object(t.Context(), subject(150), "first"); err != nil {
		t.Fatal(err)
	}
	b := openBrowser(t)
	b.do(chromedp.Navigate("http://" + n.ops + "/"))
	b.sees("the service serving", `document.getElementById("state").textContent === "serving"`)
	b.sees("the first seconds", `Number(document.body.dataset.seconds) >= 2`)
	b.sees("further seconds, without a reload", `Number(document.body.dataset.seconds) >= 4`)
	b.sees("a latency", `/\d/.test(document.getElementById("t-p99").textContent)`)
	b.sees("lines in every plot", `Object.values(Plots.all).every(p => p.plot.data.slice(1).some(column => column.some(v => v != null)))`)
	b.sees("the campaign", `document.getElementById("campaigns").textContent.includes("volt")`)
	b.sees("a refusal with its decision", `/NO_BASIS.*volt/.test(document.getElementById("refusals").textContent) && /[0-9a-f]{32}/.test(document.getElementById("refusals").textContent)`)
	b.sees("the reason", `document.getElementById("reasons").textContent.includes("NO_BASIS")`)
	if length, err := time.ParseDuration(os.Getenv("BELPOORT_PAGE_SHOW")); err == nil {
		for i := range int(length / time.Second) {
			_, _ = n.object(t.Context(), subject(160), fmt.Sprint("show-", i))
			time.Sleep(time.Second)
		}
	}
	n.looksUp(b)
	// No number outlives the test, in a picture neither.
	b.sees("no number", `(document.querySelector("#look-form [name=callee]").value = "", true) && !/\d{9}/.test(document.body.innerText.replace(/[0-9a-f]{16,}/g, ""))`)
	b.photograph("console-light")

	n.toRedis.Hang()
	b.sees("the cache slow", `Plots.all.stages.plot.data[1].slice(-5).some(v => v > 3000)`)
	b.sees("that Redis is not used", `/redis: not used/.test(document.getElementById("alarm").textContent)`)
	n.toRedis.Heal()
	b.sees("Redis used again", `document.getElementById("alarm").hidden`)

	n.toLedger.Delay(40 * time.Millisecond)
	b.sees("the ledger slow", `Plots.all.stages.plot.data[2].slice(-3).some(v => v > 40000)`)
	b.sees("slow answers", `Plots.all.latency.plot.data[1].slice(-3).some(v => v > 40000)`)
	b.lingers()
	b.photograph("console-slow")
	n.toLedger.Heal()

	n.toLedger.Cut()
	answer, err := n.object(t.Context(), subject(151), "second")
	if err != nil || answer.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_PENDING {
		t.Fatalf("an objection without a ledger: %v, %v", answer, err)
	}
	b.sees("the objection waiting", `document.getElementById("t-pending").textContent === "1" && document.getElementById("tile-pending").classList.contains("bad")`)
	b.sees("that the service is degraded", `document.getElementById("state").textContent === "serving, degraded"`)
	b.sees("which part is, in large letters", `/ledger: does not/.test(document.getElementById("alarm").textContent) && /objections: 1 waiting for the ledger/.test(document.getElementById("alarm").textContent) && !document.getElementById("alarm").hidden && parseInt(getComputedStyle(document.getElementById("alarm")).fontSize) >= 20`)
	b.sees("checks failing", `document.getElementById("tile-failed").classList.contains("bad")`)
	b.do(chromedp.Click(chromedp.CSS("#theme")), chromedp.Click(chromedp.CSS("#theme")))
	b.lingers()
	b.sees("all on one screen", `document.documentElement.scrollHeight <= 960`)
	b.sees("the dark page", `getComputedStyle(document.body).backgroundColor === "rgb(16, 17, 19)"`)
	b.photograph("console-broken-dark")
	n.toLedger.Heal()
	b.sees("the objection in force", `document.getElementById("t-pending").textContent === "0"`)
	b.sees("all well again", `document.getElementById("state").textContent === "serving"`)
	b.fitsAPhone()
	n.stop()
	b.sees("that nobody answers", `/does not answer/.test(document.getElementById("alarm").textContent) && document.body.classList.contains("stale")`)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		t.Errorf("the page's scripts failed: %v", b.complaints)
	}
}

// fitsAPhone looks at the page on a narrow screen, and by what it says to those who do not see it.
func (b *browser) fitsAPhone() {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(390, 844))
	b.sees("no part beyond the edge", `document.documentElement.scrollWidth <= 390`)
	b.photograph("console-narrow")
	b.do(chromedp.EmulateViewport(1440, 960))
	b.sees("a name for every plot", `[...document.querySelectorAll(".plot")].every(p => p.getAttribute("role") === "img" && /p99|cache|ALLOW|slowest|lease/.test(p.getAttribute("aria-label")))`)
	b.sees("a label for every field", `[...document.querySelectorAll("input")].every(i => i.labels.length === 1)`)
	b.sees("lists that the keyboard reaches", `["reasons", "campaigns", "refusals"].every(id => document.getElementById(id).tabIndex === 0)`)
}

// looksUp asks the page about a number, with a wrong key and the right one, which the page keeps nowhere.
func (n *clusterNode) looksUp(b *browser) {
	n.t.Helper()
	b.enter("callee", subject(150))
	b.enter("campaign", "volt")
	b.enter("key", "bpk_wrong")
	b.do(chromedp.Click(chromedp.CSS("#look-form button")))
	b.sees("that the key is wrong", `document.getElementById("look-answer").textContent.includes("KEY_UNKNOWN")`)
	b.enter("key", n.key)
	b.do(chromedp.Click(chromedp.CSS("#look-form button")))
	b.sees("the verdict", `/^DENY OBJECTED/.test(document.getElementById("look-answer").textContent)`)
	b.sees("the rule that refused", `[...document.querySelectorAll(".steps .failed")].some(e => e.textContent === "objection")`)
	b.sees("the timeline", `[...document.querySelectorAll(".timeline li")].some(e => /objection, voltwerk/.test(e.textContent) && e.classList.contains("revokes"))`)
	kept, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`JSON.stringify([location.href, {...localStorage}, {...sessionStorage}, document.cookie])`))
	if err != nil || strings.Contains(kept, n.key) || strings.Contains(kept, subject(150)) {
		n.t.Errorf("the browser keeps the key or the number: %s, %v", kept, err)
	}
}
