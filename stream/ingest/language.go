package ingest

import (
	"fmt"

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

// audioName is how people call audio in a language, in that language; number says which
// of the input's it is, from 1, where the language does not tell. It is "" for what is alone
// and unknown.
func audioName(tag string, number, of int) string {
	if name := display.Self.Name(language.Make(tag)); tag != "" && name != "" {
		return name
	}
	switch {
	case tag != "":
		return tag
	case of > 1:
		return fmt.Sprintf("Audio %d", number)
	}
	return ""
}
