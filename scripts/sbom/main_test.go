package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"runtime/debug"
	"slices"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func TestListNamesEveryModuleOnce(t *testing.T) {
	info := &buildinfo.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "example.org/program"},
		Deps: []*debug.Module{
			{Path: "example.org/a", Version: "v1.0.0"},
			{Path: "example.org/b", Version: "v2.0.0+incompatible"},
			{Path: "example.org/c", Version: "v3.0.0", Replace: &debug.Module{Path: "example.org/d", Version: "v3.0.1"}},
		},
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: "plan9"}, {Key: "GOARCH", Value: "386"}},
	}
	var text bytes.Buffer
	if err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).EncodeVersion(list("v1.2.3", info, [32]byte{1}), cdx.SpecVersion1_6); err != nil {
		t.Fatal(err)
	}
	var got struct {
		SpecVersion  string
		SerialNumber *string
		Metadata     struct {
			Timestamp *string
			Component struct{ Purl, Type string }
		}
		Components   []struct{ Purl string }
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(text.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"pkg:golang/std@1.26.8", "pkg:golang/example.org/a@v1.0.0", "pkg:golang/example.org/b@v2.0.0%2Bincompatible", "pkg:golang/example.org/d@v3.0.1"}
	var purls []string
	for _, c := range got.Components {
		purls = append(purls, c.Purl)
	}
	if !slices.Equal(purls, want) || len(got.Dependencies) != 1 || !slices.Equal(got.Dependencies[0].DependsOn, want) {
		t.Errorf("components %q, dependencies %+v", purls, got.Dependencies)
	}
	if root := got.Metadata.Component; root.Purl != "pkg:golang/example.org/program@v1.2.3" || root.Type != "application" || got.Dependencies[0].Ref != root.Purl {
		t.Errorf("it is of %+v", root)
	}
	if got.SpecVersion != "1.6" || got.SerialNumber != nil || got.Metadata.Timestamp != nil {
		t.Errorf("version %s; what differs each time: %v, %v", got.SpecVersion, got.SerialNumber, got.Metadata.Timestamp)
	}
}
