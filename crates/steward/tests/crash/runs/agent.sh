# The agent of these tests: its packet's objective says what it does. It asks for one thing after the other, and tells the host
# outside what it was told: whoever counts there knows what the node acknowledged.
read -r begin
run=run_${begin##*\"run\":\"run_} run=${run%%\"*}
what=${begin##*\"objective\":\"} what=${what%%\"*}
n=0

call() {
    n=$((n + 1))
    printf '{"id":%d,"tool":"%s","arguments":%s}\n' "$n" "$1" "$2"
    read -r said || exit 3
}

ok() {
    case $said in
    *'"ok":true'*) ;;
    *) echo "$said" >&2 && exit 4 ;;
    esac
}

plan() {
    acknowledges=
    case $begin in
    *'"handoff":null'*) ;;
    *) id=${begin#*\"hnd_} acknowledges=",\"acknowledges\":\"hnd_${id%%\"*}\"" ;;
    esac
    call submit_plan '{"summary":"Do it.","steps":[{"step":"do it"}]'"$acknowledges}" && ok
}

tell() {
    call http.get "{\"url\":\"http://127.0.0.1:@PORT@/$run?$1\"}" && ok
}

# Writes, and tells which action was acknowledged.
write() {
    call fs.write "{\"path\":\"$1\",\"content\":\"$run $n\"}" && ok
    id=act_${said#*\"act_}
    tell "acted=${id%%\"*}"
}

case $what in
clerk)
    plan
    write /out/shared
    write "/out/$run"
    call exec '{"argv":["sleep","0.0@TOKEN@"]}' && ok
    call echo__echo "{\"text\":\"$run\"}" && ok
    write /out/shared
    call finish '{}' && ok
    ;;
fumbler)
    plan
    write /out/draft
    for problem in one two three four five; do
        call report_problem "{\"message\":\"$problem\"}" && ok
        left=${said#*errors_left\":}
        tell "left=${left%%[!0-9]*}"
    done
    ;;
sleeper)
    # Left behind on purpose.
    sleep "300.@TOKEN@" &
    plan
    while :; do call exec '{"argv":["sleep","30.@TOKEN@"]}'; done
    ;;
esac
