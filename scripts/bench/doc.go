// Package bench measures swarms of production nodes on a simulated network in
// virtual time, beside ordinary gossipsub messages on the same network.
// scripts/bench.sh runs it; as a test it only checks that the bench itself works.
package bench
