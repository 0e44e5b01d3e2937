// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"reflect"

	"github.com/redis/go-redis/v9"
)

// cluster has the methods by which a Cluster's client gives access to its servers.
type cluster interface {
	ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
	MasterForKey(context.Context, string) (*redis.Client, error)
	ReloadState(context.Context)
}

// maxWrappers bounds how deep a client may be wrapped: a wrapper might hold itself.
const maxWrappers = 16

// Innermost returns the client inside those that an application has wrapped around it: types
// with a method Unwrap() redis.UniversalClient, and structs that embed a client by an
// exported name, such as struct{ redis.UniversalClient }. It returns nil if none is inside.
func Innermost(client redis.UniversalClient) redis.UniversalClient {
	for range maxWrappers {
		inner, wrapped := inside(client)
		if !wrapped {
			break
		}
		client = inner
	}
	return client
}

// inside returns the client inside one wrapper.
func inside(client redis.UniversalClient) (inner redis.UniversalClient, wrapped bool) {
	switch c := client.(type) {
	case *redis.Client, *redis.ClusterClient, *redis.Ring:
		return nil, false
	case interface{ Unwrap() redis.UniversalClient }:
		if reflect.ValueOf(client).Kind() == reflect.Pointer && reflect.ValueOf(client).IsNil() {
			return nil, true
		}
		inner = c.Unwrap()
		return inner, inner != nil
	}
	v := reflect.ValueOf(client)
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, true
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil, false
	}
	universal := reflect.TypeFor[redis.UniversalClient]()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Anonymous && f.IsExported() && f.Type.Implements(universal) {
			inner, _ = v.Field(i).Interface().(redis.UniversalClient) // nil if the field is
			return inner, true
		}
	}
	return nil, false
}

// hidesCluster finds out whether a client of unknown kind talks to a Cluster. It asks until
// it has an answer.
func (r *Redis) hidesCluster(ctx context.Context) (bool, error) {
	if !r.opaque {
		return false, nil
	}
	if known := r.hidden.Load(); known != nil {
		return *known, nil
	}
	info, err := infoOf(ctx, r.client, "cluster")
	switch {
	case refusesInfo(err):
		return false, nil
	case err != nil:
		return false, r.explain(err, nil)
	}
	hidden := infoField(info, "cluster_enabled") == "1"
	if r.hidden.CompareAndSwap(nil, &hidden) && hidden && r.Report != nil {
		r.Report(fmt.Errorf("there is a Cluster behind a %T, which hides that: "+
			"shoal can't ask each of its servers, nor look for the new master after a failover, so until the client does "+
			"pages are 503 and writes wait, and a page may show totals that stepped back. "+
			"Give Connect the *redis.ClusterClient itself, embed it in the struct, "+
			"or give the type a method Unwrap() redis.UniversalClient", r.client))
	}
	return hidden, nil
}
