# Ends what a stack started once its owner is gone, however the owner went: the pipe on stdin then reaches its end.
# Reads `watch PID` and `forget PID` (leaders of process groups; the name of a container in their place) and `folder PATH`.
trap '' INT TERM HUP
watched=''
folder=''
while IFS= read -r line; do
    rest=${line#* }
    case $line in
        'watch '*) watched="$watched $rest" ;;
        'forget '*)
            kept=''
            for pid in $watched; do
                [ "$pid" = "$rest" ] || kept="$kept $pid"
            done
            watched=$kept
            ;;
        'folder '*) folder=$rest ;;
    esac
done
for pid in $watched; do
    case $pid in
        *[!0-9]*) docker rm --force --volumes "$pid" ;;
        *) kill -s KILL -- "-$pid" ;;
    esac
done
[ -n "$folder" ] || exit 0
# A process that is just dying may still make a file.
for try in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$folder" && [ ! -e "$folder" ] && exit 0
    sleep 1
done
