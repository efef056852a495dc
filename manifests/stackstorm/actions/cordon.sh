#!/bin/sh
exec cordon run "$CORDON_RUN_CONNECTOR" "$CORDON_RUN_ACTION" --dialect stackstorm -- "$@"
