# SPDX-License-Identifier: Apache-2.0
"""One address for several worker pools of Beam: each worker that a runner asks for starts on the next one."""

import concurrent.futures
import itertools
from collections.abc import Sequence

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

_SECONDS = 20


class Dispatcher(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Passes requests on to pools, in turns; a pool that does not answer is left out."""

    def __init__(self, pools: Sequence[str]) -> None:
        self._pools = pools
        self._turn = itertools.count()

    def StartWorker(self, request, context):  # noqa: N802 (named by Beam)
        first = next(self._turn)
        for place in range(len(self._pools)):
            try:
                return self._stub(first + place).StartWorker(request, timeout=_SECONDS)
            except grpc.RpcError as error:
                failure = str(error)
        return beam_fn_api_pb2.StartWorkerResponse(error=failure)

    def StopWorker(self, request, context):  # noqa: N802 (named by Beam)
        for place in range(len(self._pools)):
            try:
                self._stub(place).StopWorker(request, timeout=_SECONDS)
            except grpc.RpcError:
                continue
        return beam_fn_api_pb2.StopWorkerResponse()

    def _stub(self, number: int) -> beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub:
        channel = grpc.insecure_channel(self._pools[number % len(self._pools)])
        return beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)


def serve(address: str, pools: Sequence[str]) -> grpc.Server:
    """Starts to serve in threads of this process."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(Dispatcher(pools), server)
    server.add_insecure_port(address)
    server.start()
    return server
