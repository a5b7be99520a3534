package p2p_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatsNameTheirTests checks that each test that the threat model names is there, and that
// it names each test of misconduct.
func TestThreatsNameTheirTests(t *testing.T) {
	text, err := os.ReadFile("threats.go")
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, name := range regexp.MustCompile(`\bTest\w+`).FindAllString(string(text), -1) {
		named[name] = true
	}
	if len(named) < 30 {
		t.Fatalf("the threat model names %d tests", len(named))
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			found[fn.Name.Name] = true
			if !named[fn.Name.Name] && (file == "misconduct_test.go" || file == "fail2ban_test.go") {
				t.Errorf("the threat model does not name %s", fn.Name.Name)
			}
		}
	}
	for name := range named {
		if !found[name] {
			t.Errorf("the threat model names %s, which is not there", name)
		}
	}
}
