package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/scenario"
)

func applyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Apply a catalogue: organisations, caller IDs, campaigns", Args: cobra.ExactArgs(1),
		Long: `Apply a catalogue file. It replaces the catalogue in force as a whole, or not at all where something is wrong with it:
then the file, line and key are named. Applying the same catalogue again changes nothing.`,
		Example: "  belpoort apply examples/catalogue.yaml\n  belpoort apply examples/catalogue.yaml --dry-run",
		RunE:    func(cmd *cobra.Command, args []string) error { return apply(cmd, args[0]) },
	}
	clientFlags(cmd)
	lawFlag(cmd)
	cmd.Flags().Bool("dry-run", false, "only let the service judge it")
	cmd.Flags().Uint64("expect-position", 0, "only over the catalogue at this ledger position")
	return cmd
}

func apply(cmd *cobra.Command, path string) error {
	f := flags{cmd.Flags()}
	catalogue, err := readCatalogue(cmd, path)
	if err != nil {
		return usage(err)
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := call(cmd.Context(), c, belpoortv1.NewCatalogueServiceClient(c).ApplyCatalogue, &belpoortv1.ApplyCatalogueRequest{
		Catalogue: catalogue, DryRun: f.flag("dry-run"), ExpectedPosition: f.position("expect-position"),
	})
	if err != nil {
		return err
	}
	result := "applied"
	switch {
	case answer.GetUnchanged():
		result = "unchanged"
	case f.flag("dry-run"):
		result = "valid, not applied"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "catalogue %s: %d organisations, %d caller IDs, %d campaigns\n", result, len(catalogue.GetOrganisations()),
		len(catalogue.GetCallerIds()), len(catalogue.GetCampaigns()))
	if answer.GetPosition() > 0 {
		field(cmd.OutOrStdout(), "ledger", fmt.Sprintf("position %d", answer.GetPosition()))
	}
	return nil
}

// readCatalogue reads a catalogue file and judges it by the law that this binary knows, so that an error has a line.
func readCatalogue(cmd *cobra.Command, path string) (*belpoortv1.Catalogue, error) {
	file, err := scenario.LoadCatalogue(path)
	if err != nil {
		return nil, err
	}
	nl, err := loadLaw(cmd)
	if err != nil {
		return nil, err
	}
	if _, err := file.Build(nl); err != nil {
		return nil, err
	}
	return catalogueToProto(file)
}

func catalogueToProto(file *scenario.Catalogue) (*belpoortv1.Catalogue, error) {
	m := &belpoortv1.Catalogue{}
	for _, o := range file.Organisations {
		m.Organisations = append(m.Organisations, &belpoortv1.Organisation{
			Id: o.ID, LegalName: o.LegalName, Class: belpoortv1.OrganisationClass(o.Class), Licence: belpoortv1.Licence(o.Licence),
			IssuesPerYear: int32(o.IssuesPerYear), Brand: o.Brand, Group: o.Group, DigitalOnly: o.DigitalOnly,
		})
	}
	for _, c := range file.CallerIDs {
		m.CallerIds = append(m.CallerIds, &belpoortv1.CallerId{
			Number: c.Number, Organisation: c.Organisation, ValidFromTime: record.Stamp(c.ValidFrom), ValidUntilTime: record.Stamp(c.ValidUntil),
			CallbackTestTime: record.Stamp(c.CallbackTestedAt), PublishedUrl: c.PublishedURL,
		})
	}
	for _, c := range file.Campaigns {
		policy, err := settingsToProto(c.Policy)
		if err != nil {
			return nil, fmt.Errorf("campaign %s: %w", c.ID, err)
		}
		m.Campaigns = append(m.Campaigns, &belpoortv1.Campaign{
			Id: c.ID, Organisation: c.Organisation, Purpose: belpoortv1.Purpose(c.Purpose), Product: c.Product, Mode: belpoortv1.Mode(c.Mode),
			Dialing: belpoortv1.Dialing(c.Dialing), Brand: c.Brand, Suspended: c.Suspended, Policy: policy,
		})
	}
	for _, f := range file.Families {
		m.ProductFamilies = append(m.ProductFamilies, &belpoortv1.ProductFamily{Id: f.ID, Products: f.Products})
	}
	for _, c := range file.Canaries {
		m.Canaries = append(m.Canaries, &belpoortv1.Canary{Number: c.Number, Campaign: c.Campaign, CallerId: c.CallerID})
	}
	for _, menu := range file.Menus {
		m.IvrMenus = append(m.IvrMenus, menuToProto(menu))
	}
	var err error
	m.Policy, err = settingsToProto(file.Policy)
	return m, err
}

func menuToProto(menu scenario.Menu) *belpoortv1.IvrMenu {
	m := &belpoortv1.IvrMenu{Id: menu.ID, Organisation: menu.Organisation, Digits: map[string]*belpoortv1.IvrDigit{}}
	for _, d := range menu.Digits {
		m.Digits[d.Digit] = &belpoortv1.IvrDigit{
			Meaning: belpoortv1.IvrDigit_Meaning(belpoortv1.IvrDigit_Meaning_value["MEANING_"+d.Meaning]), Product: d.Product, Spoken: d.Spoken,
		}
	}
	return m
}

func settingsToProto(settings map[string]any) (*structpb.Struct, error) {
	if len(settings) == 0 {
		return nil, nil
	}
	return structpb.NewStruct(settings)
}
