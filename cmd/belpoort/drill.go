package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/telephony"
)

// drillKeys begin the request ids of all that drills write, so that a drill can tell a canary's facts from a person's.
const drillKeys = "drill-"

func drillCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drill", Short: "Object on a canary number through every door, and measure until every node refuses", Args: cobra.NoArgs,
		Long: `Try whether an objection [recht van verzet] stops calls, from every door to every node. For each door the canary consents,
at its own initiative, every node must allow a call, the canary objects, and every node must refuse: at once when the door has
answered "in force". Checks are dry runs, so that no attempt, permit or decision is left behind. In the end the canary has objected.

The number must be one of the catalogue's canaries, which takes the compliance role to declare: never a person's. The key needs
the roles dialer, register and compliance. Exit code 1 means that a path is broken: do not dial until you know why.`,
		Example: `  belpoort drill --number +31850000000
  belpoort drill --number +31850000000 --node gate1:2357 --node gate2:2357 --form http://gate1:2358 --agi gate1:4573 --metrics-file /var/lib/node_exporter/belpoort.prom`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDrill(cmd) },
	}
	clientFlags(cmd)
	f := cmd.Flags()
	f.String("number", "", "the canary (required)")
	f.StringSlice("node", nil, "where a node serves gRPC; may be repeated (default: --address)")
	f.StringSlice("form", nil, "where a node serves the doors over HTTP, such as http://gate1:2358; may be repeated")
	f.StringSlice("agi", nil, "where a node serves FastAGI to telephone exchanges, such as gate1:4573; may be repeated")
	f.Duration("within", 10*time.Second, "how long a node may take to allow and to refuse before its path is broken")
	f.String("metrics-file", "", "write what was measured to this file in Prometheus' text form")
	f.Bool("json", false, "print the outcome as JSON")
	return cmd
}

// runDrill tells of a broken path with the exit code; the output has said the rest.
func runDrill(cmd *cobra.Command) error {
	f := flags{cmd.Flags()}
	d, err := newDrill(f)
	if err != nil {
		return usage(err)
	}
	defer d.close()
	if err := d.prepare(cmd.Context()); err != nil {
		return err
	}
	outcome := d.run(cmd.Context())
	if f.flag("json") {
		err = outcome.printJSON(cmd.OutOrStdout())
	} else {
		err = outcome.print(cmd.OutOrStdout())
	}
	if path := f.text("metrics-file"); path != "" {
		err = errors.Join(err, outcome.writeMetrics(path))
	}
	if err != nil {
		return exit(exitFailed, err)
	}
	if broken := outcome.broken(); broken > 0 && !mutantDrillForgives {
		return exit(exitFailed, fmt.Errorf("%d of %d paths are broken", broken, len(outcome.Paths)))
	}
	return nil
}

// drill is one drill of one canary.
type drill struct {
	id       string
	number   telephony.Number
	shown    string // the number as far as it may be shown
	nodes    []*drilledNode
	doors    []door
	within   time.Duration
	canary   *belpoortv1.Canary
	campaign *belpoortv1.Campaign
	written  int
	objected time.Time // the latest objection, as its node recorded it
	receipt  string    // of an objection through a door that tells no time
}

// drilledNode is a node that must refuse.
type drilledNode struct {
	address string
	*connection
}

// door is a way in for objections. Objecting gives the time of record, once the objection is in force; zero
// where the door tells a receipt only, which the drill then has.
type door struct {
	name   string
	clock  *drilledNode // whose clock the door goes by
	object func(ctx context.Context, d *drill) (time.Time, error)
}

func newDrill(f flags) (*drill, error) {
	number, err := telephony.Canonical(f.text("number"))
	if err != nil {
		return nil, fmt.Errorf("--number: %w", err)
	}
	d := &drill{
		id: drillKeys + rand.Text(), number: number, shown: masked(f.text("number")), within: f.duration("within"),
	}
	if d.within <= 0 {
		return nil, errors.New("--within: must be more than 0")
	}
	addresses := f.texts("node")
	if len(addresses) == 0 {
		addresses = []string{f.text("address")}
	}
	for _, address := range addresses {
		if slices.ContainsFunc(d.nodes, func(n *drilledNode) bool { return n.address == address }) {
			return nil, fmt.Errorf("--node: %s is named twice", address)
		}
		c, err := connectTo(f, address)
		if err != nil {
			return nil, err
		}
		n := &drilledNode{address, c}
		d.nodes = append(d.nodes, n)
		d.doors = append(d.doors, door{"grpc " + address, n, n.object})
	}
	for _, address := range f.texts("form") {
		form, err := d.newForm(f, address)
		if err != nil {
			return nil, err
		}
		d.doors = append(d.doors, form)
	}
	for _, address := range f.texts("agi") {
		exchange, err := d.newAGI(f, address)
		if err != nil {
			return nil, err
		}
		d.doors = append(d.doors, exchange)
	}
	return d, nil
}

func (d *drill) close() {
	for _, n := range d.nodes {
		_ = n.Close()
	}
}

// prepare finds the canary in the catalogue, and refuses a number about which anybody but a drill has recorded something.
func (d *drill) prepare(ctx context.Context) error {
	n := d.nodes[0]
	got, err := call(ctx, n.connection, belpoortv1.NewCatalogueServiceClient(n).GetCatalogue, &belpoortv1.GetCatalogueRequest{})
	if err != nil {
		return err
	}
	for _, c := range got.GetCatalogue().GetCanaries() {
		if number, err := telephony.Canonical(c.GetNumber()); err == nil && number.E164() == d.number.E164() {
			d.canary = c
		}
	}
	if d.canary == nil {
		return usage(fmt.Errorf("%s is none of the catalogue's canaries; nothing was written", d.shown))
	}
	for _, c := range got.GetCatalogue().GetCampaigns() {
		if c.GetId() == d.canary.GetCampaign() {
			d.campaign = c
		}
	}
	held, err := call(ctx, n.connection, belpoortv1.NewRegisterServiceClient(n).GetCallee, &belpoortv1.GetCalleeRequest{Callee: d.canary.GetNumber()})
	if err != nil {
		return err
	}
	for _, entry := range held.GetEntries() {
		if !strings.HasPrefix(entry.GetRequestId(), drillKeys) && !mutantDrillAnybody {
			return usage(fmt.Errorf("%s has facts that no drill wrote (position %d): it may be a person's; nothing was written", d.shown, entry.GetPosition()))
		}
		if at := entry.GetFact().GetObjection().GetObjectTime().AsTime(); at.After(d.objected) {
			d.objected = at
		}
	}
	return nil
}

// run drills every door. Whatever happens, the canary has objected in the end, or the outcome says that it has not.
func (d *drill) run(ctx context.Context) *drillOutcome {
	o := &drillOutcome{Canary: d.shown, Campaign: d.canary.GetCampaign(), Began: time.Now()}
	for _, door := range d.doors {
		o.Paths = append(o.Paths, d.through(ctx, door)...)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.within)
	defer cancel()
	o.LeftObjected = d.leaveObjected(ending) == nil
	o.Took = time.Since(o.Began)
	return o
}

// through drills one door: a path from it to each node.
func (d *drill) through(ctx context.Context, door door) []drilledPath {
	paths := make([]drilledPath, len(d.nodes))
	for i, n := range d.nodes {
		paths[i] = drilledPath{Door: door.name, Node: n.address}
	}
	fail := func(why string) []drilledPath {
		for i := range paths {
			if paths[i].Broken == "" {
				paths[i].Broken = why
			}
		}
		return paths
	}
	if err := d.consent(ctx, door.clock); err != nil {
		return fail("no consent: " + err.Error())
	}
	d.eachNode(func(i int, n *drilledNode) { paths[i].Broken = n.awaitAllow(ctx, d) })
	if slices.ContainsFunc(paths, func(p drilledPath) bool { return p.Broken != "" }) {
		return fail("not drilled, because another node did not allow the call")
	}
	w := &watch{began: time.Now(), within: d.within}
	var watching sync.WaitGroup
	for i, n := range d.nodes {
		watching.Go(func() { w.node(ctx, d, n, &paths[i]) })
	}
	at, err := door.object(ctx, d)
	w.answered(err)
	watching.Wait() // before anything else is asked that could wait for the objection to settle
	if err == nil && at.IsZero() {
		at, err = d.recorded(ctx)
	}
	if err != nil {
		return fail("no objection: " + err.Error())
	}
	d.objected = at
	for i := range paths {
		paths[i].Answered = w.acknowledged()
	}
	return paths
}

func (d *drill) eachNode(do func(i int, n *drilledNode)) {
	var all sync.WaitGroup
	for i, n := range d.nodes {
		all.Go(func() { do(i, n) })
	}
	all.Wait()
}

// key is a new request id.
func (d *drill) key() string {
	d.written++
	return fmt.Sprintf("%s-%d", d.id, d.written)
}

// consent records a consent at the canary's own initiative, which lifts its earlier objections: later than those, and not
// later than the clock of the node through which it will object.
func (d *drill) consent(ctx context.Context, clock *drilledNode) error {
	given, err := clock.now(ctx, d)
	if err != nil {
		return err
	}
	if wait := d.objected.Add(time.Millisecond).Sub(given); wait > 0 {
		time.Sleep(min(wait, d.within))
		given = given.Add(wait)
	}
	_, err = call(ctx, clock.connection, belpoortv1.NewRegisterServiceClient(clock).RecordFact, &belpoortv1.RecordFactRequest{
		Callee: d.canary.GetNumber(), Fact: d.consentFact(given), RequestId: d.key(),
	})
	return err
}

func (d *drill) consentFact(given time.Time) *belpoortv1.Fact {
	at := timestamppb.New(given)
	return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Consent{Consent: &belpoortv1.Consent{
		ConsentId: d.key(), Organisations: []string{d.campaign.GetOrganisation()}, Products: []string{d.campaign.GetProduct()},
		Purposes: []belpoortv1.Purpose{d.campaign.GetPurpose()}, Channels: []belpoortv1.Channel{belpoortv1.Channel_CHANNEL_PHONE},
		Person: "canary", GiveTime: at, OwnInitiative: true, Method: belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM,
		Source: "belpoort drill", Wording: "drill", Evidence: &belpoortv1.Evidence{Uri: "drill:" + d.id, Sha256: strings.Repeat("0", 64)},
		Verified: &belpoortv1.Verification{Method: belpoortv1.VerificationMethod_VERIFICATION_METHOD_SMS, VerifyTime: at},
	}}}
}

// leaveObjected makes sure that the canary has objected.
func (d *drill) leaveObjected(ctx context.Context) error {
	var errs []error
	for _, n := range d.nodes {
		if answer, err := n.ask(ctx, d); err == nil && isObjected(answer) {
			return nil
		}
		if _, err := n.object(ctx, d); err != nil {
			errs = append(errs, err)
			continue
		}
		return nil
	}
	return errors.Join(errs...)
}
