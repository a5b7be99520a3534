// # Threats
//
// Anybody can join a swarm, with as many identities as he likes, and say what he likes. What he
// could do, what keeps him from it, and the tests in which somebody tries it, in the simulator or
// on loopback:
//
//	attack                  what it could do             what is done
//	headers that the key    show another picture,        signatures, checked before a header is kept or passed on;
//	did not sign            cost others CPU time         four, and the sender is cut off
//	  TestWhoForgesHeadersIsCutOff TestAnotherStreamsHeaderIsForged TestFetchedForgeriesAreRefused
//	  TestForgedHeadersAreRefusedAndTheirSenderShutOut TestLiesAboutThePastAreRefused
//	headers that were       show the past as live,       epochs only grow; a minute behind is too old for gossip;
//	signed long ago         take players back            stale ones are faults
//	  TestWhoReplaysHeadersIsCutOff TestReplayedHeadersAreRefused TestAReplayedKeyBlockIsRefused
//	chunks that are not     show another picture         hashes, checked before a chunk is kept, shown or passed on;
//	what the header says                                 two, also of chunks that are there already: cut off
//	  TestWhoForgesChunksIsCutOff TestForgedChunksAreRefusedAndFetchedElsewhere TestForgedChunksOfThePastAreRefused
//	chunks unasked          take the downlink            refused unless wanted; faults
//	  TestWhoSendsChunksUnaskedIsCutOff
//	equivocation: two       set nodes against each       the second header is passed on once, as evidence, and chunks of
//	headers for one part,   other, stop the stream,      neither are anybody's fault, nor a reason to leave a parent;
//	both signed             stop the broadcaster         the first chunk decides which counts; who claims chunks of one
//	                                                     that nobody serves is asked for them, and withholds them; the
//	                                                     broadcaster takes none; a warning
//	  TestEquivocationIsNobodysFaultAndKnownToAll TestTwoBroadcastersOfOneKeySetNobodyAgainstAnother
//	  TestWhoEquivocatesIsCutOffForWhatItClaims
//	false haves, promises,  starve who believes them     wants and promises have deadlines, and chunks other sources;
//	withheld chunks                                      six or four failures, and nothing sent for 4 s after it was found to
//	                                                     hear: cut off
//	  TestWhoWithholdsIsCutOff TestLiarIsNotAskedAgain TestSilentClaimsAreNotBelievedForLong
//	  TestABroadcasterThatHeardNothingIsNotCutOff
//	floods of wants,        fill queues, take CPU time   an allowance of messages for each peer, checked before anything of
//	groups, headers,        and uplink from others       them is looked at, and a quarter of the inbox; what is beyond is
//	control messages                                     dropped, and 1024 of that: cut off. And one for all together from whom
//	                                                     nothing new was valid yet, as gossipsub remembers all that it looks at
//	  TestFloodOfHeadersIsCutOff TestFewOfAFloodAreLookedAtAndOneLineIsLogged
//	  TestAllNewcomersTogetherAreBounded TestAFloodOfManyPeersIsBounded
//	  TestFloodOfWantsIsCutOff TestFloodOfGroupsIsCutOff TestFloodOfControlIsCutOff
//	  TestPeerThatOpensManyGroupsIsBounded TestPeerThatFillsTheInboxHidesNoHeader TestPeerThatComesAndGoesHidesNoPart
//	  TestPeerThatSubscribesToEverythingIsBounded TestAFloodOfEnrolmentsIsBounded TestNobodyFillsTheDirectoryAlone
//	against gossipsub's     enter meshes, have others    gossipsub's scores; who is below its graylist is cut off
//	own rules               ask for nothing
//	  TestWhoBreaksTheRulesOfGossipIsCutOff
//	floods of fetches       take uplink and CPU time     an allowance of requests and of headers' bytes for each peer,
//	                                                     64 answers at a time, 8 to a peer, and turns on the uplink
//	  TestFloodOfFetchesIsCutOff TestPeerThatFetchesTheSameAgainAndAgainIsRefused TestAnswersAreBounded
//	slow readers            hold memory and answers      a window of unacknowledged bytes for each neighbour, 5 s for a
//	                                                     message and 16 s for an answer; slow is not dishonest
//	  TestSlowReadersOfAnswersAreCutOff TestSlowAndDeafReadersAreNotBlamed TestViewersBehindSlowLinksAreNotBlamed
//	wants and requests,     hold memory, answers and     who takes nothing and hears all the while, by a connection that
//	and nothing taken       turns on the uplink          carries something, is let go; then cut off; see unread.go
//	  TestWhoTakesNothingIsLetGo TestWhoReadsNothingAgainIsCutOff
//	connections, streams    hold memory, keep others     rates and numbers for each address and for all before a handshake,
//	                        out                          256 streams and 16 MiB for a peer, see guard.go; trimmed by worth
//	  TestConnectionsAreBounded TestStreamsOfAPeerAreBounded TestMaxPeers
//	Sybils                  come back as somebody else   four cut off at an address within 10 minutes: nobody new from there
//	  TestSybilsOfOneAddressAreLetInNoMore
//	eclipse                 have a viewer know nobody    whoever withholds is cut off, and makes room for others; the
//	                        else                         link's peers are never forgotten; ten holders are sought
//	  TestEclipsedViewerPlaysFromTheRest
//	oversize, malformed     crash, fill memory           every decoder has bounds and a fuzz target; four: cut off
//	  TestWhoSendsNonsenseIsCutOff TestWhoSendsTooLargeMessagesIsCutOff TestFetchRequestsThatAreNoneEndTheStream
//	  TestUnsolicitedOversizeAndMalformedMessagesAreRefused
//	time                    have all that follows be     times are signed; more than a minute ahead of both the stream and
//	                        too old                      this node's clock is not taken
//	  TestHeadersOfNextYearAreLeftAlone
//	lying origins           as a peer                    believed nothing, left alone for a minute
//	  TestOriginThatLiesIsLeftAlone
//	forged enrolments       cost a broadcaster CPU time  invites are signed; faults
//	  TestForgedEnrolmentsShutTheirSenderOut TestAReplayedEnrolmentLetsNobodyIn
//	forged moderations      shut guests out, learn       signed by a moderator, delegation, role, time and revocations
//	and answers             their names                  checked at each hop and at the broadcaster; faults; each of a
//	                                                     moderator is later than its last; answers are sealed
//	  TestForgedModerationsShutTheirSenderOut TestAReplayedModerationChangesNothing TestAFloodOfModerationsIsBounded
//	  TestWhoIsNoModeratorIsRefused TestAModeratorThatIsNoneAnyMoreIsNotHeard
//	a trusted relay turns   see who watches, withhold    its delegation ends, and can be revoked: viewers leave it while live
//	  TestViewersLeaveATrustedRelayThatIsRevoked TestViewersLeaveATrustedRelayWhoseDelegationIsRevoked
//	  TestViewersLeaveATrustedRelayWhoseDelegationEnds TestALinkIsOfNoUseWhoseRelaysAreNotTrustedNow
//
// Players' side, HTTP, is package hls's: see there.
//
// # What becomes of who misbehaves
//
// Each fault lowers a peer's score in gossipsub: with three it loses its place in the mesh, with
// four it is cut off (maxFaults). Floods and what is withheld do that by themselves. Who is cut
// off is disconnected; for a minute, and then twice as long each time, up to an hour, neither it
// nor this node connects, and nothing of it is read. Of those behind one address all others stay,
// and newcomers are refused only once four were cut off: households, offices and whole operators
// share addresses. Who withheld something may come back at once, the first time, and fetch: it
// looks the same when its network was lost for a while. Who took nothing of what it asked for is let
// go, the first time, and may come back after a second. One line tells the log of who is cut off:
//
//	level=WARN msg="peer cut off" peer=12D3… addr=192.0.2.7 reason=forged for=1m0s
//
// Reasons are those of [Misconduct]; addr is "unknown" behind a relay, which is not to blame.
// scripts/fail2ban has a filter for it: TestFail2banReadsWhoIsCutOff TestFail2banLeavesOthersAlone.
// [Stats] count all of it. Other lines about what is refused are there with --log-level debug only, as attackers
// could fill a disk with them.
//
// What is cheap to check comes first: the ban before a connection's streams, the address and the
// rate before its handshake, the allowance before a message's topic, what was seen before its
// form, that before its signature, and the signature before its place in the timeline.
//
// # What is not defended
//
//   - Whoever has the stream's key is the broadcaster. He can show anything, different things to
//     different viewers, or begin a higher epoch and have everybody follow him. Nodes warn of two
//     headers for one part, and that is all.
//   - Who knows of hostile peers only finds no other: a link has to have an honest one, or the DHT
//     and the local network have to lead to one. Peers are not chosen by their networks.
//   - Attackers with thousands of addresses can keep new viewers from one node, as what comes in is
//     bounded for all. Who is connected stays, and other nodes let viewers in.
//   - Less than the allowance is let pass: a neighbour can make a node check some thousand cheap
//     messages a second, and waste the wants that a few seconds take.
//   - While many newcomers flood a node, it may drop what others say from whom it took nothing new
//     before, and fetch that later.
//   - A flood of packets that fills the line is for the line's operator to stop.
//   - Peers see who watches what, from which address. See the package's part on private streams for
//     what trusted relays change in that.
//   - The public DHT's nodes can hide who announces a stream, and tell of others.
package p2p
