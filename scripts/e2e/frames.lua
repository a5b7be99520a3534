-- Tells of each picture that mpv shows: a line with how many there were.
local shown = 0
mp.observe_property("time-pos", "number", function(_, pts)
  if not pts then return end
  shown = shown + 1
  print("shown " .. shown)
end)
