# What a program has executed of the functions in sark_cache.h, out of what llvm-cov exports: a line
# for each function, branch and decision, its fields between tabs. A place is
# line:column-line:column; what comes from a macro stands where that is used, then where in it.
#     function NAME COUNT
#     branch   NAME PLACE COUNT_TRUE COUNT_FALSE KIND       KIND 6: a condition of a decision
#     decision NAME PLACE ALONE          a digit for each condition: 1, it was seen to decide alone

def place: "\(.[0]):\(.[1])-\(.[2]):\(.[3])";

def use_of($file; $regions):
    first($regions[] | select(.[7] == 1 and .[6] == $file))
    | if .[5] == 0 then place else use_of(.[5]; $regions) end;

def place_in($file; $regions):
    if $file == 0 then place else use_of($file; $regions) + "," + place end;

def is_header: endswith("/sark_cache.h");

.data[0].functions[]
| select(.filenames[0] | is_header)
| (.name | sub("^.*:"; "")) as $name
| .regions as $regions
| .filenames as $files
| ["function", $name, .count],
  (.branches[] | select($files[.[6]] | is_header)
   | ["branch", $name, place_in(.[6]; $regions), .[4], .[5], .[8]]),
  (.mcdc_records[] | ["decision", $name, place, (.[6] | map(if . then "1" else "0" end) | add)])
| join("\t")
