package server

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// permitted says in words of its own who may call what.
var permitted = map[string]string{
	"GatekeeperService/CheckCall":           "dialer",
	"GatekeeperService/CheckCalls":          "dialer",
	"GatekeeperService/ScreenNumbers":       "dialer",
	"GatekeeperService/ReportCall":          "dialer",
	"ObjectionService/RegisterObjection":    "dialer ivr compliance",
	"ObjectionService/RecordObjectionOffer": "dialer ivr compliance",
	"ObjectionService/GetObjection":         "dialer ivr compliance",
	"RegisterService/RecordFact":            "register",
	"RegisterService/RecordFacts":           "register",
	"RegisterService/GetCallee":             "compliance",
	"RegisterService/EraseCallee":           "compliance",
	"RegisterService/RecordImport":          "register",
	"RegisterService/ListImports":           "register compliance",
	"ObjectionService/ProposeCorrection":    "compliance",
	"ObjectionService/ApproveCorrection":    "compliance",
	"CatalogueService/ApplyCatalogue":       "ops",
	"CatalogueService/GetCatalogue":         "ops compliance",
	"CatalogueService/SuspendCampaign":      "ops compliance",
	"CatalogueService/ResumeCampaign":       "compliance",
	"CatalogueService/ListCampaigns":        "ops compliance",
	"AuditService/ExplainCall":              "compliance",
	"AuditService/GetDecision":              "compliance",
	"AuditService/ListDecisions":            "compliance",
	"AuditService/CompareCalls":             "compliance",
	"RetentionService/RunRetention":         "compliance",
}

// knock calls a method with an empty message, whatever its kind, and tells how it was answered.
func (n *node) knock(ctx context.Context, method string) error {
	n.t.Helper()
	stream, err := n.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&emptypb.Empty{}); err == nil {
		_ = stream.CloseSend()
	}
	return stream.RecvMsg(&emptypb.Empty{})
}

func (n *node) everyMethod() []string {
	var methods []string
	for service, info := range n.grpc.GetServiceInfo() {
		for _, method := range info.Methods {
			if strings.HasPrefix(service, "belpoort.") {
				methods = append(methods, "/"+service+"/"+method.Name)
			}
		}
	}
	return methods
}

// T25: every method with every role, without a key, with a wrong key, and with keys that are written oddly.
func TestOnlyTheTableOpensADoor(t *testing.T) {
	n := startNode(t, nil)
	methods := n.everyMethod()
	if len(methods) != len(permitted) {
		t.Errorf("%d methods, the table has %d", len(methods), len(permitted))
	}
	roles := map[string]string{"dialer": "dialer-all", "ivr": "ivr-all", "register": "register-all", "compliance": "compliance-all", "ops": "ops-all"}
	for _, method := range methods {
		may := strings.Fields(permitted[strings.TrimPrefix(method, "/belpoort.v1.")])
		for role, client := range roles {
			err := n.knock(n.as(client), method)
			reason, _ := ReasonOf(err)
			refused := status.Code(err) == codes.PermissionDenied && reason == ReasonRoleForbidden
			if refused == slices.Contains(may, role) || status.Code(err) == codes.Unauthenticated {
				t.Errorf("%s as %s: %v", method, role, err)
			}
		}
		for name, ctx := range n.strangers() {
			if err := n.knock(ctx, method); status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s with %s: %v", method, name, err)
			}
		}
	}
}

// strangers are requests that no key opens anything for.
func (n *node) strangers() map[string]context.Context {
	unknown, _ := NewKey()
	good := n.keys["dialer-all"]
	header := func(values ...string) context.Context {
		md := metadata.MD{}
		md.Append("authorization", values...)
		return metadata.NewOutgoingContext(n.t.Context(), md)
	}
	return map[string]context.Context{
		"no key":            n.t.Context(),
		"an unknown key":    withKey(n.t.Context(), unknown),
		"half a key":        withKey(n.t.Context(), good[:len(good)-1]),
		"its hash":          withKey(n.t.Context(), KeySum(good)),
		"an empty key":      header("Bearer "),
		"no scheme":         header(good),
		"another scheme":    header("Basic " + good),
		"two headers":       header("Bearer "+good, "Bearer "+good),
		"two keys":          header("Bearer " + good + " " + good),
		"a key of 300":      header("Bearer " + strings.Repeat("x", 300)),
		"the id of a key":   header("Bearer dialer-all"),
		"a key in capitals": header("Bearer " + strings.ToUpper(good)),
	}
}

func TestOddPathsOpenNothing(t *testing.T) {
	n := startNode(t, nil)
	for _, path := range []string{
		"/belpoort.v1.GatekeeperService/checkCall", "/belpoort.v1.gatekeeperservice/CheckCall", "/belpoort.v1.GatekeeperService/CheckCall/",
		"/belpoort.v1.GatekeeperService//CheckCall", "/belpoort.v2.GatekeeperService/CheckCall", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.channelz.v1.Channelz/GetServers",
	} {
		if err := n.knock(n.as("dialer-all"), path); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAMethodWithoutARuleKeepsTheServerFromStarting(t *testing.T) {
	n := newNode(t, t.TempDir(), nil)
	info := maps.Clone(n.grpc.GetServiceInfo())
	if err := checkRules(info); err != nil {
		t.Fatal(err)
	}
	service := info["belpoort.v1.AuditService"]
	service.Methods = append(slices.Clone(service.Methods), grpc.MethodInfo{Name: "Peek"})
	info["belpoort.v1.AuditService"] = service
	if err := checkRules(info); err == nil || !strings.Contains(err.Error(), "/belpoort.v1.AuditService/Peek") {
		t.Errorf("a method without a rule: %v", err)
	}
}

// What no rule names nobody may call. The mutant mutant_default_allow must fail here.
func TestWithoutARuleNobodyMayCall(t *testing.T) {
	n := newNode(t, t.TempDir(), nil)
	_, err := n.authorise(metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+n.keys["ops-all"])), "/belpoort.v1.AuditService/Peek")
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("a method without a rule: %v", err)
	}
}
