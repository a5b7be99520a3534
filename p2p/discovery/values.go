package discovery

import (
	"context"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
)

// maxValues bounds the values that a server of the public DHT keeps for others: names of
// IPNS, of 10 KiB at most, and public keys. Our own DHT has none.
const maxValues = 1024

// values is a datastore of which the oldest entries make room for new ones.
type values struct {
	*datastore.MapDatastore
	order []datastore.Key // of all entries, the newest last; some may be gone
}

func newValues() datastore.Batching {
	return dssync.MutexWrap(&values{MapDatastore: datastore.NewMapDatastore()})
}

// Put implements datastore.Write.
func (v *values) Put(ctx context.Context, key datastore.Key, value []byte) error {
	known, err := v.Has(ctx, key)
	if err != nil {
		return err
	}
	if !known {
		for len(v.order) >= maxValues {
			if err := v.Delete(ctx, v.order[0]); err != nil {
				return err
			}
			v.order = v.order[1:]
		}
		v.order = append(v.order, key)
	}
	return v.MapDatastore.Put(ctx, key, value)
}

// Batch implements datastore.Batching. kad-dht writes providers in batches only, which
// have a store of their own.
func (v *values) Batch(context.Context) (datastore.Batch, error) {
	return nil, datastore.ErrBatchUnsupported
}
