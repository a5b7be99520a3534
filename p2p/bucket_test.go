package p2p

// newBucket is what exchange_test.go still calls newUplink.
func newBucket(bits int) *uplink { return newUplink(bits) }
