package bench

import "errors"

func draw(string) error { return errors.New("not yet") }
