# Takes the union of what programs executed (lines of coverage.jq), and compares what is left with
# the reasons. A program's own copy of a function that has other code, or is not called there, adds
# nothing; a condition decides alone where it does in one program.
#
# usage: awk -f tests/coverage.awk sark_cache.h REASONS LINES
#
# Prints what was left out without a reason ("unreached"), reasons for what is not so ("stale"), and
# last the figures. Names: function, then the code of the condition; #2 is the second of its kind.

function trimmed(text)
{
    gsub(/[ \t]+/, " ", text)
    sub(/^ /, "", text)
    sub(/ $/, "", text)
    return text
}

# The place of PLACE in the function itself, as from_line, from_column, to_line, to_column.
function split_place(place, part)
{
    sub(/,.*/, "", place)
    split(place, part, /[-:]/)
    from_line = part[1] + 0; from_column = part[2] + 0
    to_line = part[3] + 0; to_column = part[4] + 0
}

# The source from a column of a line on, up to the parenthesis that closes the first one.
function with_arguments(line, column, text, depth, at, letter)
{
    text = substr(source[line], column)
    for (at = 1; ; at++) {
        if (at > length(text)) text = text " " trimmed(source[++line])
        letter = substr(text, at, 1)
        if (letter == "(") depth++
        if (letter == ")" && --depth == 0) return substr(text, 1, at)
    }
}

# The code at a place; what ends with the name of a macro goes on with its arguments.
function text_at(place, part, text, line)
{
    sub(/,.*/, "", place)
    split(place, part, /[-:]/)
    for (line = part[1] + 0; line < part[3] + 0; line++) text = text " " source[line]
    text = text " " substr(source[line], 1, part[4] - 1)
    text = substr(text, part[2] + 1)
    if (substr(source[line], part[4], 1) == "(") text = text with_arguments(line, part[4])
    return trimmed(text)
}

# A name for what is at a place, in the order in which they are met.
function named(name, place, text)
{
    text = name ": " text_at(place)
    return ++times[text] > 1 ? text " #" times[text] : text
}

# Whether one place lies in another of the same file.
function is_inside(inner, outer, a, b)
{
    split(inner, a, /[-:]/)
    split(outer, b, /[-:]/)
    return (a[1] + 0 > b[1] + 0 || a[1] == b[1] && a[2] + 0 >= b[2] + 0) &&
           (a[3] + 0 < b[3] + 0 || a[3] == b[3] && a[4] + 0 <= b[4] + 0)
}

# Splits a place into where the macro is used and where in it, which may be all.
function in_macro(place) { sub(/.*,/, "", place); return place }
function use_of_macro(place) { return substr(place, 1, length(place) - length(in_macro(place))) }

# Counts that a child of fork began in the middle of may come out below zero.
function is_positive(count) { return count > 0 && count < 2 ^ 62 }

function note(item)
{
    if (!(item in reached)) { reached[item] = 0; items[++item_count] = item }
}

# ---- Input --------------------------------------------------------------------------------------

FNR == 1 { file_number++ }
file_number == 1 { source[FNR] = $0; next }

# Reasons: a function, below it conditions, below these sides with reasons.
file_number == 2 && (/^#/ || /^ *$/) { next }
file_number == 2 && /^[^ ]/ { of_function = $0; of_condition = ""; next }
file_number == 2 && /^    [^ ]/ { of_condition = trimmed($0); next }
file_number == 2 && /^        (true|false|alone|called)( [(]at times[)])?: ./ {
    side = trimmed($0)
    sub(/[ :].*/, "", side)
    item = of_function (of_condition == "" ? "" : ": " of_condition) " | " side
    reason[item] = /[(]at times[)]: / ? "at times" : "never"
    next
}
file_number == 2 { next } # a reason goes on

BEGIN { FS = "\t" }

$1 == "line" {
    if (!($2 in line_count)) { line_count[$2] = 0; total["line"]++ }
    if ($3 > 0 && line_count[$2]++ == 0) met["line"]++
}
$1 == "function" {
    split("", seen)
    split("", seen_decision)
    branch_count = 0
    note($2 " | called")
    if ($3 > 0) reached[$2 " | called"] = 1
}
$1 == "branch" {
    seen[$3]++
    key = $2 SUBSEP $3 SUBSEP seen[$3]
    if (!(key in name_of)) name_of[key] = named($2, $3)
    item = name_of[key]
    note(item " | true")
    note(item " | false")
    if (is_positive($4)) reached[item " | true"] = 1
    if (is_positive($5)) reached[item " | false"] = 1
    if ($6 == 6) { branch_count++; place_of[branch_count] = $3; item_of[branch_count] = item }
}
# Its place is that in the macro, which a function may use several times: its decisions come in that
# order. A condition that is constant in a program is no branch there; it is the first, or the last.
$1 == "decision" {
    count = use = 0
    seen_decision[$3]++
    last_use = ""
    for (i = 1; i <= branch_count; i++) {
        if (!is_inside(in_macro(place_of[i]), $3)) continue
        if (!use || use_of_macro(place_of[i]) != last_use) use++
        last_use = use_of_macro(place_of[i])
        if (use == seen_decision[$3]) condition[++count] = i
    }
    constants = length($4) - count
    if (constants < 0 || constants > 1) { print "what decides in " $2 " at " $3 "?"; exit 2 }
    split(in_macro(place_of[condition[1]]) "-" $3, at, "-")
    is_first = constants && at[1] != at[3]
    for (i = 1; i <= count; i++) {
        item = item_of[condition[i]] " | alone"
        note(item)
        if (substr($4, i + is_first, 1) == "1") reached[item] = 1
    }
}

# ---- Output -------------------------------------------------------------------------------------

function side_of(item) { sub(/.* \| /, "", item); return item }

# A condition that is always the same decides nothing alone.
function follows(item, base)
{
    base = substr(item, 1, length(item) - length("alone"))
    return side_of(item) == "alone" && ((base "true") in reason || (base "false") in reason)
}

function figure(kind, name)
{
    printf "%s %d of %d (%.2f %%)", name, met[kind], total[kind], 100 * met[kind] / total[kind]
}

END {
    for (i = 1; i <= item_count; i++) {
        item = items[i]
        kind = side_of(item)
        if (kind == "true" || kind == "false") kind = "branch"
        total[kind]++
        if (reached[item]) met[kind]++
        else if (item in reason) with_reason[kind]++
        else if (follows(item)) following++
        else print "unreached: " item
    }
    for (item in reason) {
        if (!(item in reached)) print "stale: " item " is not there"
        else if (reached[item] && reason[item] == "never") print "stale: " item
    }
    figure("line", "lines"); print ""
    figure("called", "functions"); printf ", %d with a reason\n", with_reason["called"]
    figure("branch", "branches"); printf ", %d with a reason\n", with_reason["branch"]
    figure("alone", "MC/DC"); printf ", %d with a reason, %d more by one of a branch\n",
        with_reason["alone"], following
}
