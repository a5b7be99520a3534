package main

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// A key is forgotten only when nothing that was delegated to it can hold any more.
func TestARevokedKeyIsKeptUntilAllOfItsDelegationsEnd(t *testing.T) {
	now := time.Now()
	master := stream.NewKey()
	f := &delegationsFile{}
	add := func(key stream.ID, name string, role stream.Role, expires time.Duration) {
		t.Helper()
		if err := f.add(&namedDelegation{Name: name, Key: key, Role: role.String(), Created: now, Expires: now.Add(expires)}, now); err != nil {
			t.Fatal(err)
		}
	}
	var keys []stream.ID
	for i := range stream.MaxRevocations {
		key := stream.NewKey().ID()
		add(key, fmt.Sprintf("b%d", i), stream.RoleBroadcast, time.Hour)
		add(key, fmt.Sprintf("m%d", i), stream.RoleModerator, time.Duration(i+2)*time.Hour)
		keys = append(keys, key)
	}
	before, err := master.Revoke(1, keys)
	if err != nil {
		t.Fatal(err)
	}
	next := stream.NewKey().ID()
	if _, err := f.revokedKeys(before, next, now.Add(90*time.Minute)); err == nil {
		t.Error("a key is forgotten whose other delegation holds")
	} else if _, ok := errors.AsType[*usageError](err); !ok {
		t.Error(err)
	}
	got, err := f.revokedKeys(before, next, now.Add(2*time.Hour+stream.DelegationSkew+time.Minute))
	if err != nil || len(got) != stream.MaxRevocations || slices.Contains(got, keys[0]) || !slices.Contains(got, keys[1]) || !slices.Contains(got, next) {
		t.Errorf("%d keys, %v", len(got), err)
	}
}

func TestAShorterDelegationDoesNotHideALongerOne(t *testing.T) {
	now := time.Now()
	key := stream.NewKey().ID()
	f := &delegationsFile{}
	for _, expires := range []time.Duration{time.Hour, 48 * time.Hour, 24 * time.Hour} {
		if err := f.add(&namedDelegation{Name: "a", Key: key, Role: stream.RoleBroadcast.String(), Expires: now.Add(expires)}, now); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.Delegations) != 1 || !f.Delegations[0].Expires.Equal(now.Add(48*time.Hour)) {
		t.Errorf("kept are %+v", f.Delegations[0])
	}
}
