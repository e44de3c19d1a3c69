#!/usr/bin/env bash
# Make the recordings in examples/recordings: all voices are a synthesiser's (espeak-ng), no person's.
# Needs espeak-ng, sox and ffmpeg. The tags are made up; they are there for `deident scan` to find.
set -euo pipefail
cd "$(dirname "$0")/recordings"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

say() { # say NAME VOICE PITCH SPEED TEXT
    espeak-ng -v "$2" -p "$3" -s "$4" -w "$work/$1.wav" "$5"
}
pause() { sox -n -r 22050 -c 1 "$work/$1.wav" trim 0 "$2"; }

say a1 en-gb 62 150 "Good morning, this is the service desk. How can I help you today?"
say b1 en-us+m3 38 165 "Hello. The heating in my flat has been off since yesterday evening."
say a2 en-gb 62 150 "I am sorry to hear that. May I ask whether the small green lamp is on?"
say b2 en-us+m3 38 165 "No, it is dark. I pressed the button twice, and nothing happened."
pause p1 0.8; pause p5 5.2; pause p46 4.6; pause p48 4.8
sox "$work/p1.wav" "$work/a1.wav" "$work/p5.wav" "$work/a2.wav" "$work/p5.wav" "$work/left.wav"
sox "$work/p5.wav" "$work/b1.wav" "$work/p46.wav" "$work/b2.wav" "$work/p1.wav" "$work/right.wav"
sox -R -M "$work/left.wav" "$work/right.wav" -r 8000 -e mu-law --comment "agent Jane Example" call.wav \
    sinc 300-3400 gain -n -6

say r en-us+f2 55 155 "The lighthouse stood at the end of a long and narrow road. Every evening, when the
wind came in from the sea, the keeper climbed one hundred and twelve steps and lit the lamp. He never counted
them any more. On clear nights the light could be seen from the harbour, and sometimes, people said, from the
other side of the bay. Nobody had ever gone across to find out."
sox -R "$work/r.wav" "$work/reading.wav" gain -n -3
ffmpeg -v error -y -i "$work/reading.wav" -b:a 64k -metadata title=Audition -metadata artist="Jane Example" reading.mp3

say m1 en-gb+m1 45 160 "So, the first point for today is the new remote control. It should be small, and yellow."
say m2 en-us+f4 60 170 "Yellow is fine with me."
say m3 en-gb-scotland 30 150 "I would like a larger button for the volume, because that is what people use most."
pause q 1.1
sox "$work/q.wav" "$work/m1.wav" "$work/q.wav" "$work/m2.wav" "$work/q.wav" "$work/m3.wav" "$work/q.wav" "$work/m.wav"
sox -R "$work/m.wav" "$work/speech.wav" rate 16000 gain -n -9
seconds=$(soxi -D "$work/speech.wav")
sox -R -n -r 16000 -c 1 "$work/noise.wav" synth "$seconds" pinknoise vol 0.01
sox -R -n -r 16000 -c 1 "$work/hum.wav" synth "$seconds" sine 50 vol 0.01
sox -R -m "$work/speech.wav" "$work/noise.wav" "$work/hum.wav" --comment "Location=Room 4.12" meeting.flac

sox -R "$work/left.wav" "$work/l.wav" rate 16000 gain -n -6
sox -R "$work/right.wav" "$work/r.wav" rate 16000 gain -n -6
sox -R -m "$work/l.wav" "$work/r.wav" "$work/demo.wav" gain -n -3
ffmpeg -v error -y -i "$work/demo.wav" -b:a 24k -map_metadata -1 ../../deident/cli/demo.opus
