// Package apitest holds answers of a node's API to the description of it that the node serves.
package apitest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// API is a description of an API, OpenAPI 3.1, whose schemas are JSON Schema 2020-12.
type API struct {
	compiler *jsonschema.Compiler
	paths    map[string]any
}

// location is what the description's own references are relative to.
const location = "file:///openapi.json"

// Parse reads a description. Objects may have the properties that it names, and no others: it is
// for nodes of its own version.
func Parse(description []byte) (*API, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	doc, ok := parsed.(map[string]any)
	if !ok || doc["openapi"] == nil {
		return nil, fmt.Errorf("the description is none of OpenAPI")
	}
	closeObjects(doc)
	paths, _ := doc["paths"].(map[string]any)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(location, doc); err != nil {
		return nil, fmt.Errorf("add the description: %w", err)
	}
	return &API{c, paths}, nil
}

// closeObjects forbids properties that schemas do not name.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, open := v["additionalProperties"]; v["type"] == "object" && v["properties"] != nil && !open {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}

// Paths returns what the description has, such as /api/v1/streams/{stream}.
func (a *API) Paths() []string { return slices.Sorted(maps.Keys(a.paths)) }

// Conforms returns an error if an answer of JSON to GET of a path that the description has is not
// what that says.
func (a *API) Conforms(path string, code int, answer []byte) error {
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace
	schema, err := a.compiler.Compile(fmt.Sprintf("%s#/paths/%s/get/responses/%d/content/application~1json/schema", location, escape(path), code))
	if err != nil {
		return fmt.Errorf("GET %s is not described to answer %d with JSON: %w", path, code, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
	if err != nil {
		return fmt.Errorf("GET %s does not answer with JSON: %w", path, err)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}
