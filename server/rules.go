package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// role is what a key may be used for.
type role uint8

const (
	roleDialer role = 1 << iota
	roleIVR
	roleRegister
	roleCompliance
	roleOps
)

var roleNames = map[string]role{
	"dialer": roleDialer, "ivr": roleIVR, "register": roleRegister, "compliance": roleCompliance, "ops": roleOps,
}

// roleList names the roles, for messages.
func roleList() string {
	var names []string
	for name := range roleNames {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// rule says who may call a method: a key with one of the roles, or, where it is open, anybody.
type rule struct {
	roles role
	open  bool
}

// rules holds every method that may be called. What is not in it may be called by nobody.
var rules = map[string]rule{
	belpoortv1.GatekeeperService_CheckCall_FullMethodName:     {roles: roleDialer},
	belpoortv1.GatekeeperService_CheckCalls_FullMethodName:    {roles: roleDialer},
	belpoortv1.GatekeeperService_ScreenNumbers_FullMethodName: {roles: roleDialer},
	belpoortv1.GatekeeperService_ReportCall_FullMethodName:    {roles: roleDialer},

	belpoortv1.ObjectionService_RegisterObjection_FullMethodName:    {roles: roleDialer | roleIVR | roleCompliance},
	belpoortv1.ObjectionService_RecordObjectionOffer_FullMethodName: {roles: roleDialer | roleIVR | roleCompliance},
	belpoortv1.ObjectionService_GetObjection_FullMethodName:         {roles: roleDialer | roleIVR | roleCompliance},

	belpoortv1.ObjectionService_ProposeCorrection_FullMethodName: {roles: roleCompliance},
	belpoortv1.ObjectionService_ApproveCorrection_FullMethodName: {roles: roleCompliance},

	belpoortv1.RegisterService_RecordFact_FullMethodName:  {roles: roleRegister},
	belpoortv1.RegisterService_RecordFacts_FullMethodName: {roles: roleRegister},
	belpoortv1.RegisterService_GetCallee_FullMethodName:   {roles: roleCompliance},
	belpoortv1.RegisterService_EraseCallee_FullMethodName: {roles: roleCompliance},

	belpoortv1.RegisterService_RecordImport_FullMethodName: {roles: roleRegister},
	belpoortv1.RegisterService_ListImports_FullMethodName:  {roles: roleRegister | roleCompliance},

	belpoortv1.CatalogueService_ApplyCatalogue_FullMethodName:  {roles: roleOps},
	belpoortv1.CatalogueService_GetCatalogue_FullMethodName:    {roles: roleOps | roleCompliance},
	belpoortv1.CatalogueService_SuspendCampaign_FullMethodName: {roles: roleOps | roleCompliance},
	belpoortv1.CatalogueService_ResumeCampaign_FullMethodName:  {roles: roleCompliance},
	belpoortv1.CatalogueService_ListCampaigns_FullMethodName:   {roles: roleOps | roleCompliance},

	belpoortv1.AuditService_ExplainCall_FullMethodName:   {roles: roleCompliance},
	belpoortv1.AuditService_GetDecision_FullMethodName:   {roles: roleCompliance},
	belpoortv1.AuditService_CompareCalls_FullMethodName:  {roles: roleCompliance},
	belpoortv1.AuditService_ListDecisions_FullMethodName: {roles: roleCompliance},

	belpoortv1.RetentionService_RunRetention_FullMethodName: {roles: roleCompliance},

	healthv1.Health_Check_FullMethodName: {open: true},
	healthv1.Health_List_FullMethodName:  {open: true},
	healthv1.Health_Watch_FullMethodName: {open: true},

	// Registered only when asked for, on loopback.
	reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName:      {open: true},
	reflectionv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: {open: true},
}

// checkRules refuses a server that would offer a method without a rule.
func checkRules(services map[string]grpc.ServiceInfo) error {
	for service, info := range services {
		for _, method := range info.Methods {
			name := "/" + service + "/" + method.Name
			if r, ok := rules[name]; !ok || !r.open && r.roles == 0 {
				return fmt.Errorf("server: no rule says who may call %s", name)
			}
		}
	}
	return nil
}

// client is who asks, as its key tells.
type client struct {
	id            string
	roles         role
	organisations map[string]bool
	everybody     bool // may act for every organisation
	rate          int  // checks a second; 0: no limit of its own
}

// mayActFor reports whether the client may act for an organisation.
func (c *client) mayActFor(organisation string) bool {
	return c.everybody || c.organisations[organisation]
}

type clientKey struct{}

// clientOf is the client that authenticate found. Without one nobody may do anything.
func clientOf(ctx context.Context) *client {
	if c, ok := ctx.Value(clientKey{}).(*client); ok {
		return c
	}
	return &client{}
}

// authorise answers who calls a method, or why they may not.
func (s *Server) authorise(ctx context.Context, method string) (context.Context, error) {
	r, ok := rules[method]
	if mutantDefaultAllow && !ok {
		return ctx, nil
	}
	if !ok {
		return nil, fail(codes.PermissionDenied, ReasonMethodForbidden, "nobody may call this method")
	}
	if r.open {
		return ctx, nil
	}
	c, err := s.keys.authenticate(ctx)
	if err != nil {
		return nil, err
	}
	if c.roles&r.roles == 0 {
		return nil, fail(codes.PermissionDenied, ReasonRoleForbidden, "this key has no role that may call this method")
	}
	return context.WithValue(ctx, clientKey{}, c), nil
}
