package bench

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Name is the organisation and the campaign in whose name a run calls.
const Name = "belpoort-bench"

const (
	product  = "bench"
	callerID = "+3110" + string(firstCallerID) + "000001" // cannot be assigned either
)

// campaignPolicy is open at all hours and as lenient as the settings get where the service's own catalogue may be strict,
// so that what is measured does not depend on the day.
func campaignPolicy() (*structpb.Struct, error) {
	never := map[string]any{}
	for _, day := range []string{"05-04", "12-05", "12-24", "GOOD_FRIDAY"} {
		never[day] = nil
	}
	return structpb.NewStruct(map[string]any{
		"hours": "Mon-Sun 00:00-24:00", "holidays": []any{}, "mourning_days": []any{}, "kings_day": "open",
		"liberation_day": "open", "early_close": never, "consent_max_age": "12 months", "first_call_within": "6 months",
		"max_attempts": map[string]any{"per_day": 1000, "per_campaign": 1000}, "offer_deadline": "24 hours",
		"offer_debt_limit": map[string]any{"percent": 100, "at_least": 1_000_000},
	})
}

// withBench is a catalogue with the run's own organisation, caller ID and campaign added, or made anew.
func withBench(c *belpoortv1.Catalogue) (*belpoortv1.Catalogue, error) {
	policy, err := campaignPolicy()
	if err != nil {
		return nil, err
	}
	c = withoutBench(c)
	c.Organisations = append(c.Organisations, &belpoortv1.Organisation{
		Id: Name, LegalName: "Belpoort Bench", Class: belpoortv1.OrganisationClass_ORGANISATION_CLASS_COMMERCIAL, Brand: Name, Group: Name,
	})
	c.CallerIds = append(c.CallerIds, &belpoortv1.CallerId{
		Number: callerID, Organisation: Name, CallbackTestTime: timestamppb.New(time.Now().AddDate(0, 0, -1).Truncate(24 * time.Hour)),
		PublishedUrl: "https://bench.invalid/wie-belt-u",
	})
	c.Campaigns = append(c.Campaigns, &belpoortv1.Campaign{
		Id: Name, Organisation: Name, Purpose: belpoortv1.Purpose_PURPOSE_COMMERCIAL, Product: product,
		Mode: belpoortv1.Mode_MODE_HUMAN, Dialing: belpoortv1.Dialing_DIALING_PREDICTIVE, Policy: policy,
	})
	return c, nil
}

// withoutBench removes them; it changes the catalogue that it is given.
func withoutBench(c *belpoortv1.Catalogue) *belpoortv1.Catalogue {
	c.Organisations = slices.DeleteFunc(c.Organisations, func(o *belpoortv1.Organisation) bool { return o.GetId() == Name })
	c.CallerIds = slices.DeleteFunc(c.CallerIds, func(i *belpoortv1.CallerId) bool { return i.GetOrganisation() == Name })
	c.Campaigns = slices.DeleteFunc(c.Campaigns, func(p *belpoortv1.Campaign) bool { return p.GetOrganisation() == Name })
	return c
}

// changeCatalogue changes the catalogue in force, again where somebody else changed it in between.
func (s *Service) changeCatalogue(ctx context.Context, change func(*belpoortv1.Catalogue) (*belpoortv1.Catalogue, error)) error {
	const attempts = 5
	client := belpoortv1.NewCatalogueServiceClient(s.conns[0])
	var err error
	for range attempts {
		var now *belpoortv1.GetCatalogueResponse
		now, err = client.GetCatalogue(ctx, &belpoortv1.GetCatalogueRequest{})
		if status.Code(err) == codes.NotFound {
			now, err = &belpoortv1.GetCatalogueResponse{Catalogue: &belpoortv1.Catalogue{}}, nil
		}
		if err != nil {
			return err
		}
		next, wrong := change(now.GetCatalogue())
		if wrong != nil {
			return wrong
		}
		_, err = client.ApplyCatalogue(ctx, &belpoortv1.ApplyCatalogueRequest{Catalogue: next, ExpectedPosition: now.GetPosition()})
		if status.Code(err) != codes.Aborted {
			return err
		}
	}
	return err
}
