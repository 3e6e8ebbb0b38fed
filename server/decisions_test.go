package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func (n *node) list(client string, req *belpoortv1.ListDecisionsRequest) (*belpoortv1.ListDecisionsResponse, error) {
	return belpoortv1.NewAuditServiceClient(n.conn).ListDecisions(n.as(client), req)
}

// listed is the whole list, page by page.
func (n *node) listed(client string, req *belpoortv1.ListDecisionsRequest) (ids []string, pages int) {
	n.t.Helper()
	for {
		page, err := n.list(client, req)
		if err != nil {
			n.t.Fatal(err)
		}
		pages++
		for _, d := range page.GetDecisions() {
			ids = append(ids, d.GetDecisionId())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return ids, pages
		}
	}
}

// startDecided is a node with decisions a minute apart, for both organisations in turn: six refusals and two ALLOWs.
func startDecided(t *testing.T) (n *node, newestFirst []string) {
	t.Helper()
	n = startNode(t, nil)
	n.record(callee, consentOf("c", "acme"), "consent")
	for i := range 4 {
		n.setClock(wednesday.Add(time.Duration(i) * time.Minute))
		req := checkOf(callee)
		if i%2 == 1 {
			req = checkOf("06-12345670")
		}
		foreign := checkOf("06-12345670")
		foreign.Campaign, foreign.CallerId = "globex-x", "020-1234568"
		for _, r := range []*belpoortv1.CheckCallRequest{req, foreign} {
			answer, err := n.check("dialer-all", r)
			if err != nil {
				t.Fatal(err)
			}
			newestFirst = append([]string{answer.GetDecisionId()}, newestFirst...)
		}
	}
	return n, newestFirst
}

func TestDecisionsAreListedByWhatIsAsked(t *testing.T) {
	n, all := startDecided(t)
	inMinute := func(i int) *belpoortv1.ListDecisionsRequest {
		from := wednesday.Add(time.Duration(i) * time.Minute)
		return &belpoortv1.ListDecisionsRequest{FromTime: stampAt(from), UntilTime: stampAt(from.Add(time.Minute))}
	}
	for what, c := range map[string]struct {
		req  *belpoortv1.ListDecisionsRequest
		want []string // in any order
	}{
		"everything": {&belpoortv1.ListDecisionsRequest{}, all},
		"a campaign": {&belpoortv1.ListDecisionsRequest{Campaign: "globex-x"}, []string{all[0], all[2], all[4], all[6]}},
		"a callee":   {&belpoortv1.ListDecisionsRequest{Callee: "+31 6 1234 5678"}, []string{all[3], all[7]}},
		"a verdict":  {&belpoortv1.ListDecisionsRequest{Verdict: belpoortv1.Verdict_VERDICT_ALLOW}, []string{all[3], all[7]}},
		"a reason":   {&belpoortv1.ListDecisionsRequest{Reason: belpoortv1.Reason_REASON_OBJECTED}, nil},
		"a minute":   {inMinute(1), all[4:6]},
		"all of it": {&belpoortv1.ListDecisionsRequest{
			Campaign: "acme-x", Callee: "0612345670", Verdict: belpoortv1.Verdict_VERDICT_DENY, Reason: belpoortv1.Reason_REASON_NO_BASIS,
			FromTime: stampAt(wednesday), UntilTime: stampAt(wednesday.Add(2 * time.Minute)),
		}, []string{all[5]}},
	} {
		for _, size := range []int32{0, 1, 3} {
			c.req.PageSize = size
			got, _ := n.listed("compliance-all", c.req)
			if !slices.IsSortedFunc(got, func(a, b string) int { return -compareMinutes(a, b) }) {
				t.Errorf("%s: not newest first: %v", what, got)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: want %v, got %v", what, size, want, got)
			}
		}
	}
}

// compareMinutes compares ids by their time, within which they are random.
func compareMinutes(a, b string) int { return slices.Compare([]byte(a[:12]), []byte(b[:12])) }

// A client sees the decisions of its organisations only, and the pages do not tell how many others there are.
// The mutant mutant_decisions_of_all must fail here.
func TestDecisionsOfOthersAreNotListed(t *testing.T) {
	n, all := startDecided(t)
	want := slices.Sorted(slices.Values([]string{all[0], all[2], all[4], all[6]}))
	for _, size := range []int32{0, 1, 3, 4} {
		got, pages := n.listed("compliance-glo", &belpoortv1.ListDecisionsRequest{PageSize: size})
		if slices.Sort(got); !slices.Equal(got, want) || size > 0 && pages > 4/int(size)+1 {
			t.Errorf("pages of %d: want %v, got %v in %d pages", size, want, got, pages)
		}
	}
	if got, _ := n.listed("compliance-glo", &belpoortv1.ListDecisionsRequest{Campaign: "acme-x"}); len(got) > 0 {
		t.Errorf("another organisation's: %v", got)
	}
	_, err := n.list("dialer-all", &belpoortv1.ListDecisionsRequest{})
	wantError(t, "a dialer", err, codes.PermissionDenied, ReasonRoleForbidden, "")
}

// A page token goes on with the list that it came from, and with no other.
// The mutant mutant_page_of_anything must fail here.
func TestAPageBelongsToItsList(t *testing.T) {
	n, _ := startDecided(t)
	page, err := n.list("compliance-all", &belpoortv1.ListDecisionsRequest{PageSize: 2, Campaign: "acme-x"})
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", page, err)
	}
	for what, req := range map[string]*belpoortv1.ListDecisionsRequest{
		"another campaign": {Campaign: "globex-x"}, "another callee": {Campaign: "acme-x", Callee: callee},
		"another verdict": {Campaign: "acme-x", Verdict: belpoortv1.Verdict_VERDICT_DENY},
		"another time":    {Campaign: "acme-x", UntilTime: stampAt(wednesday.Add(time.Hour))},
	} {
		req.PageToken = page.GetNextPageToken()
		_, err := n.list("compliance-all", req)
		wantError(t, what, err, codes.InvalidArgument, ReasonFieldInvalid, "page_token")
	}
	rest, err := n.list("compliance-all", &belpoortv1.ListDecisionsRequest{Campaign: "acme-x", PageSize: 5, PageToken: page.GetNextPageToken()})
	if err != nil || len(rest.GetDecisions()) != 2 || rest.GetNextPageToken() != "" {
		t.Errorf("the rest: %v, %v", rest, err)
	}
}

func TestBadListsAreRefusedByField(t *testing.T) {
	n := startNode(t, nil)
	for field, reqs := range map[string][]*belpoortv1.ListDecisionsRequest{
		"page_size":  {{PageSize: -1}, {PageSize: 1001}},
		"page_token": {{PageToken: "?"}, {PageToken: "AAAA"}},
		"campaign":   {{Campaign: "Acme X"}},
		"verdict":    {{Verdict: 9}},
		"reason":     {{Reason: 99}},
		"from_time":  {{FromTime: stampAt(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC))}},
		"until_time": {{UntilTime: stampAt(lastInstant)}, {FromTime: stampAt(wednesday), UntilTime: stampAt(wednesday)}},
	} {
		for _, req := range reqs {
			_, err := n.list("compliance-all", req)
			wantError(t, fmt.Sprint(req), err, codes.InvalidArgument, ReasonFieldInvalid, field)
		}
	}
	_, err := n.list("compliance-all", &belpoortv1.ListDecisionsRequest{Callee: "12"})
	wantError(t, "no number", err, codes.InvalidArgument, ReasonCalleeInvalid, "callee")
	if got, err := n.list("compliance-all", &belpoortv1.ListDecisionsRequest{}); err != nil || len(got.GetDecisions()) != 0 {
		t.Errorf("before the first decision: %v, %v", got, err)
	}
}
