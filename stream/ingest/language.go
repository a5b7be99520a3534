package ingest

import (
	"cmp"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// languageTag returns the BCP 47 tag of a language as an input names it, such as "de" for
// "ger" or "deu" (ISO 639-2); "" if it is none, or says that it is not known.
func languageTag(code string) string {
	tag, err := language.Parse(code)
	if err != nil || tag == language.Und {
		return ""
	}
	return tag.String()
}

// languageName is how people who speak a language call it; its tag if that is not known.
func languageName(tag string) string {
	if tag == "" {
		return ""
	}
	return cmp.Or(display.Self.Name(language.Make(tag)), tag)
}
