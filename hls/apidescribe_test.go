package hls

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// describer writes the description of the API from Go's types, and from the comments that they
// have in this package's source.
type describer struct {
	comments map[string]string // of "Type" and "Type.Field"
	schemas  map[string]any
}

func newDescriber(t *testing.T) *describer {
	t.Helper()
	d := &describer{make(map[string]string), make(map[string]any)}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, d.read)
	}
	return d
}

// read notes the comments of a type's declaration and of its fields.
func (d *describer) read(n ast.Node) bool {
	decl, ok := n.(*ast.GenDecl)
	if !ok || decl.Tok != token.TYPE || len(decl.Specs) != 1 {
		return true
	}
	spec := decl.Specs[0].(*ast.TypeSpec)
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return true
	}
	// In Go's way it begins with the name: "Figures are all …".
	doc := strings.Join(strings.Fields(decl.Doc.Text()), " ")
	doc = regexp.MustCompile("^"+spec.Name.Name+" (is|are) ").ReplaceAllString(doc, "")
	if doc != "" {
		doc = strings.ToUpper(doc[:1]) + doc[1:]
	}
	d.comments[spec.Name.Name] = doc
	for _, f := range fields.Fields.List {
		for _, name := range f.Names {
			text := f.Comment.Text()
			if text == "" {
				text = f.Doc.Text()
			}
			d.comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
		}
	}
	return false
}

var upper = regexp.MustCompile(`^(api)?([A-Za-z])`)

// schemaName is a type's name without what only this package says with it.
func schemaName(t reflect.Type) string {
	return upper.ReplaceAllStringFunc(t.Name(), func(s string) string { return strings.ToUpper(strings.TrimPrefix(s, "api")) })
}

// schema describes a type.
func (d *describer) schema(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[stream.ID]():
		return map[string]any{"type": "string", "pattern": "^[a-z2-7]{52}$"}
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		name := schemaName(t)
		if d.schemas[name] == nil {
			object := map[string]any{"type": "object", "properties": map[string]any{}, "required": []any{}}
			d.schemas[name] = object
			if doc := d.comments[t.Name()]; doc != "" {
				object["description"] = doc
			}
			d.fields(t, object)
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	panic("nobody knows how to describe a " + t.String())
}

// fields adds a type's fields to its object, those of what it embeds first.
func (d *describer) fields(t reflect.Type, object map[string]any) {
	properties := object["properties"].(map[string]any)
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			d.fields(f.Type, object)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if properties[name] == nil && options != "omitempty" {
			object["required"] = append(object["required"].([]any), name)
		}
		property := d.schema(f.Type)
		if text := d.comments[t.Name()+"."+f.Name]; text != "" {
			property["description"] = text
		}
		properties[name] = property
	}
}

// describe describes routes.
func (d *describer) describe(routes []apiRoute) map[string]any {
	paths := make(map[string]any)
	for _, r := range routes {
		responses := make(map[string]any)
		for _, a := range r.answers {
			media := map[string]any{}
			if a.body != nil {
				media["schema"] = d.schema(reflect.TypeOf(a.body))
			}
			responses[fmt.Sprint(a.code)] = map[string]any{"description": a.means, "content": map[string]any{a.contentType: media}}
		}
		get := map[string]any{"summary": r.summary, "operationId": operation(r.path), "responses": responses}
		if strings.Contains(r.path, "{stream}") {
			id := d.schema(reflect.TypeFor[stream.ID]())
			get["parameters"] = []any{map[string]any{"name": "stream", "in": "path", "required": true, "description": "The stream's ID.", "schema": id}}
		}
		paths[r.path] = map[string]any{"get": get}
	}
	return map[string]any{
		"openapi":           "3.1.0",
		"jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info": map[string]any{
			"title":       "grapevine",
			"version":     "1",
			"license":     map[string]any{"name": "MIT", "identifier": "MIT"},
			"description": "What a node tells of itself, on the address of --http. Fields are added, never changed: take no offence at one that is not named here. Counts are since the node's start, rates are in bits per second.",
		},
		"servers":    []any{map[string]any{"url": "/"}},
		"paths":      paths,
		"components": map[string]any{"schemas": d.schemas},
	}
}

// operation names what a path is for: /api/v1/streams/{stream} is getStreamsStream.
func operation(path string) string {
	name := "get"
	for _, word := range regexp.MustCompile(`[a-z]+`).FindAllString(strings.TrimPrefix(path, "/api/v1"), -1) {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name
}
